# PostgreSQL, MariaDB and Redis on 127.0.0.1: taken as they are when they answer, else
# started, else installed; and Node.js. What can't be had fails the run; nothing is skipped.
# shellcheck shell=bash

apt_updated=

apt_install() { # apt_install PACKAGE…
    [[ ${CI:-} == true && $EUID == 0 ]] ||
        die "Missing here, and only CI installs it by itself: apt install $*"
    echo "Installing $*"
    [[ $apt_updated ]] || apt-get update -qq
    apt_updated=yes
    DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 install -qq --yes --no-install-recommends "$@" 2>&1 | tail -n 3
}

wait_until() { # wait_until COMMAND…: half a minute at most
    local _
    for _ in {1..60}; do
        if "$@" &>/dev/null; then return; fi
        sleep 0.5
    done
    die "It does not answer: $*"
}

listens() { # listens PORT
    timeout 2 bash -c ": </dev/tcp/127.0.0.1/$1" &>/dev/null
}

postgresql_answers() {
    psql --no-psqlrc --no-password -h 127.0.0.1 -U root -d test -Atc 'SHOW server_version'
}

have_postgresql() {
    local version
    if ! listens 5432; then
        command -v pg_ctlcluster >/dev/null || apt_install postgresql
        version=$(pg_lsclusters --no-header | awk 'END { print $1 }')
        listens 5432 || pg_ctlcluster --skip-systemctl-redirect "$version" main start
        wait_until listens 5432
    fi
    command -v psql >/dev/null || apt_install postgresql-client
    if ! postgresql_answers &>/dev/null; then
        postgresql_lets_us_in
    fi
    postgresql_answers
}

# Debian's fresh cluster knows only the system's user postgres, and asks for passwords on TCP.
postgresql_lets_us_in() {
    [[ ${CI:-} == true && $EUID == 0 ]] ||
        die "PostgreSQL must let root in on 127.0.0.1 without a password, to a database test."
    local hba
    as_postgres() { runuser -u postgres -- psql --no-psqlrc -d postgres -v ON_ERROR_STOP=1 -qAtc "$1"; }
    hba=$(as_postgres 'SHOW hba_file')
    sed -i '1i host all root 127.0.0.1/32 trust' "$hba"
    as_postgres 'SELECT pg_reload_conf()' >/dev/null
    [[ $(as_postgres "SELECT 1 FROM pg_roles WHERE rolname = 'root'") ]] ||
        as_postgres 'CREATE ROLE root SUPERUSER LOGIN'
    [[ $(as_postgres "SELECT 1 FROM pg_database WHERE datname = 'test'") ]] ||
        as_postgres 'CREATE DATABASE test OWNER root'
    wait_until postgresql_answers
}

mariadb_answers() {
    mariadb -h 127.0.0.1 -u root --skip-password -N -e 'SELECT version()'
}

have_mariadb() {
    if ! listens 3306; then
        [[ -x /usr/sbin/mariadbd ]] || apt_install mariadb-server
        if ! listens 3306; then
            install -d -o mysql -g mysql /run/mysqld
            start-stop-daemon --start --oknodo --background --exec /usr/sbin/mariadbd -- --user=mysql
        fi
        wait_until listens 3306
    fi
    command -v mariadb >/dev/null || apt_install mariadb-client
    if ! mariadb_answers &>/dev/null; then
        mariadb_lets_us_in
    fi
    mariadb_answers
}

# Debian's fresh server lets root in on the socket alone.
mariadb_lets_us_in() {
    [[ ${CI:-} == true && $EUID == 0 ]] ||
        die "MariaDB must let root in on 127.0.0.1 without a password."
    mariadb -u root -e "
        ALTER USER root@localhost
        IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('')"
    wait_until mariadb_answers
}

have_wrk() { # which makes the load of a benchmark
    command -v wrk >/dev/null || apt_install wrk
}

have_redis() {
    # The tests start some of their own, which they freeze and kill.
    command -v redis-server >/dev/null || apt_install redis-server
    if ! listens 6379; then
        listens 6379 || redis-server --daemonize yes --bind 127.0.0.1 -::1 --port 6379 \
            --save "" --appendonly no --dir / >/dev/null
        wait_until listens 6379
    fi
    command -v redis-cli >/dev/null || apt_install redis-tools
    [[ $(redis-cli -h 127.0.0.1 PING) == PONG ]] || die "What listens on 6379 is not Redis."
    redis-cli -h 127.0.0.1 INFO server | grep redis_version
}

# As with PGOPTIONS, for the whole server: on a machine that is CI's alone.
without_durability() {
    [[ ${CI:-} == true && $EUID == 0 ]] || return 0
    psql --no-psqlrc --no-password -h 127.0.0.1 -U root -d test -qAt \
        -c 'ALTER SYSTEM SET fsync = off' -c 'ALTER SYSTEM SET full_page_writes = off' \
        -c 'SELECT pg_reload_conf()' >/dev/null
    mariadb -h 127.0.0.1 -u root --skip-password -e \
        'SET GLOBAL innodb_flush_log_at_trx_commit = 0, GLOBAL sync_binlog = 0'
}

have_chromium() {
    { command -v chromium && command -v chromedriver; } >/dev/null ||
        apt_install chromium chromium-driver
    chromium --version
}

have_node() {
    command -v node >/dev/null || apt_install nodejs
    command -v npm >/dev/null || apt_install npm
    node -e 'process.exitCode = parseInt(process.versions.node) < 20 ? 1 : 0' ||
        die "Node.js 20 or newer is needed; this is $(node --version)."
    echo "Node.js $(node --version), npm $(npm --version 2>/dev/null)"
}

have_mysqlclient_headers() {
    local include
    include=$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')
    if ! { command -v gcc && pkg-config --exists libmariadb && ls "$include/Python.h"; } &>/dev/null; then
        apt_install gcc libc6-dev libmariadb-dev pkg-config python3-dev
    fi
    pkg-config --modversion libmariadb
}
