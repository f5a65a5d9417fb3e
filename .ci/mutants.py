"""What the tests notice: break the functions that decide in a few hundred small ways.

    pip install mutmut                       # its operators make the mutants
    python .ci/mutants.py                    # record, then run
    python .ci/mutants.py record             # a whole run: which tests run which lines
    python .ci/mutants.py run                # a seeded sample against those tests
    python .ci/mutants.py run --after FILE   # the same, after tests have changed

The sample depends on the seed and on the package's code only, so two states of the tests meet the
same mutants. Texts are left alone. A mutant meets the tests that run its line, the most specific
and the quickest of each file first, until one fails or ``--budget`` seconds of tests are spent.

``--after`` takes an earlier run's results: a mutant whose killing test is unchanged stays killed.

The suite is collected once. Each mutant gets a fork of that process and a fresh copy of the
database, and there its function's code is exchanged. So only code inside of functions is mutated,
and what runs at import has run already.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import gc
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FLOWS = (
    "resolver presented verification limits logins rotation keys minting deciding exchange "
    "starting tickets mapping delegation service_users attempts"
)
TARGETS = [
    *sorted(f"pikku_auth/core/{path.name}" for path in (ROOT / "pikku_auth/core").glob("*.py")),
    *(f"pikku_auth/flows/{name}.py" for name in FLOWS.split()),
    "pikku_auth/models/keys.py",
    "pikku_auth/models/logins.py",
    "pikku_auth/principal.py",
    "pikku_auth/http/origins.py",
    "pikku_auth/rest_framework/authentication.py",
    "pikku_auth/rest_framework/permissions.py",
]
MAP = ROOT / ".mutants/map.json"
PYTEST = ["-q", "-n0", "-p", "no:randomly", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]


@dataclass(frozen=True)
class Mutant:
    path: str
    line: int
    before: str
    after: str
    code: str

    @property
    def id(self) -> str:
        return digest(f"{self.path}:{self.line}:{self.before}:{self.after}")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# --- The mutants ------------------------------------------------------------------------


def sample(size: int, seed: int) -> list[Mutant]:
    """Half of it changes a call's arguments, which is most of what can be changed."""
    calls, others = [], []
    for path in TARGETS:
        module, mutations = mutations_of(path)
        for mutation in mutations:
            pile = calls if type(mutation.original_node).__name__ == "Call" else others
            pile.append((path, module, mutation))
    dice = random.Random(seed)  # noqa: S311
    chosen = [*of_pile(calls, size // 2, dice), *of_pile(others, size - size // 2, dice)]
    dice.shuffle(chosen)
    return chosen


def mutations_of(path: str) -> tuple[Any, list[Any]]:
    import libcst
    from mutmut.mutation.file_mutation import MutationVisitor
    from mutmut.mutation.mutators import mutation_operators
    from mutmut.mutation.pragma_handling import IgnoredCode

    operators = [pair for pair in mutation_operators if pair[1].__name__ != "operator_string"]
    visitor = MutationVisitor(operators, IgnoredCode(set(), set(), set()))
    module = libcst.MetadataWrapper(libcst.parse_module((ROOT / path).read_text())).visit(visitor)
    in_functions = [one for one in visitor.mutations if one.contained_by_top_level_function]
    return module, [one for one in in_functions if not is_text(module, one.original_node)]


def is_text(module: Any, node: Any) -> bool:
    """Whether a mutation of ``node`` only changes a translated text."""
    return module.code_for_node(node).lstrip("( \n").startswith(("_(", "gettext"))


def of_pile(pile: list[Any], size: int, dice: random.Random) -> list[Mutant]:
    chosen: dict[str, Mutant] = {}
    dice.shuffle(pile)
    for path, module, mutation in pile:
        if len(chosen) == size:
            break
        code = (ROOT / path).read_text()
        changed = module.deep_replace(mutation.original_node, mutation.mutated_node).code
        with contextlib.suppress(SyntaxError):
            found = mutant(path, code, changed)
            if what_runs(code, path) != what_runs(changed, path):
                chosen[found.id] = found
    return list(chosen.values())


def mutant(path: str, code: str, changed: str) -> Mutant:
    old, new = code.splitlines(), changed.splitlines()
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            before = " ".join(line.strip() for line in old[a:b])
            after = " ".join(line.strip() for line in new[c:d])
            return Mutant(path, a + 1, before, after, changed)
    raise AssertionError(path)


def bodies(code: str, path: str) -> dict[str, CodeType]:
    """The code of every function and method that is not inside of another, by qualified name."""

    def walk(outer: CodeType) -> Iterator[CodeType]:
        for inner in outer.co_consts:
            if isinstance(inner, CodeType):
                if inner.co_flags & 0x1:  # CO_OPTIMIZED: a function, and not a class's body
                    yield inner
                else:
                    yield from walk(inner)

    return {inner.co_qualname: inner for inner in walk(compile(code, str(ROOT / path), "exec"))}


def what_runs(code: str, path: str) -> dict[str, Any]:
    """The functions' instructions without their lines: a default or a class's body is not here."""

    def plain(code: CodeType) -> list[Any]:
        consts = [plain(it) if isinstance(it, CodeType) else repr(it) for it in code.co_consts]
        return [code.co_code, code.co_names, code.co_varnames, consts]

    return {name: plain(code) for name, code in bodies(code, path).items()}


def functions_of(path: str) -> list[FunctionType]:
    """Every function that the module has made, wherever it is referred to."""
    file = str(ROOT / path)
    functions = (found for found in gc.get_objects() if isinstance(found, FunctionType))
    return [found for found in functions if found.__code__.co_filename == file]


def infect(mutant: Mutant, functions: list[FunctionType]) -> None:
    """Exchange the code of the function that the mutant is in."""
    healthy = bodies((ROOT / mutant.path).read_text(), mutant.path)
    sick = bodies(mutant.code, mutant.path)
    changed = {name: sick[name] for name in healthy if healthy[name] != sick[name]}
    for found in functions:
        found.__code__ = changed.get(found.__code__.co_qualname, found.__code__)


# --- Which tests run which lines -----------------------------------------------------------


class Recorder:
    """A pytest plugin: the lines of the targets that each test runs, and the test's seconds."""

    def __init__(self, into: Path) -> None:
        import coverage

        self.into = into
        self.seconds: dict[str, float] = defaultdict(float)
        include = [str(ROOT / path) for path in TARGETS]
        self.coverage = coverage.Coverage(data_file=None, include=include, config_file=False)
        self.coverage.start()

    def pytest_runtest_setup(self, item: Any) -> None:
        self.coverage.switch_context(item.nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        data = self.coverage.get_data()
        lines = {path: data.contexts_by_lineno(str(ROOT / path)) for path in TARGETS}
        self.into.write_text(json.dumps({"seconds": self.seconds, "lines": lines}))


def record(workers: int) -> None:
    """Run the suite once, its files dealt out to ``workers`` processes."""
    MAP.parent.mkdir(exist_ok=True)
    parts = [MAP.with_suffix(f".{number}") for number in range(workers)]
    files = test_files()
    arguments = [(str(part), *files[number::workers]) for number, part in enumerate(parts)]
    together("record-part", arguments)
    merged: dict[str, Any] = {"seconds": {}, "lines": defaultdict(lambda: defaultdict(list))}
    for part in parts:
        found = json.loads(part.read_text())
        merged["seconds"].update(found["seconds"])
        for path, lines in found["lines"].items():
            for line, tests in lines.items():
                merged["lines"][path][line] += filter(None, tests)
        part.unlink()
    MAP.write_text(json.dumps(merged))


def test_files() -> list[str]:
    paths = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py"))
    return [str(path) for path in paths if not {"e2e", "interop", "live"} & set(path.parts)]


def together(what: str, arguments: list[tuple[str, ...]]) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen([sys.executable, __file__, what, *each], cwd=ROOT, env=environment)
        for each in arguments
    ]
    for process in running:
        process.wait()


class Covered:
    def __init__(self) -> None:
        found = json.loads(MAP.read_text())
        self.seconds: dict[str, float] = found["seconds"]
        self.lines: dict[str, dict[str, list[str]]] = found["lines"]

        self.breadth = Counter(
            test for found in self.lines.values() for tests in found.values() for test in tests
        )

    def tests_of(self, mutant: Mutant, budget: float) -> list[str]:
        """The most specific tests of its own folder, and by turns the quickest of each file."""
        lines = self.lines[mutant.path]
        tests = {test for line in statement_at(mutant) for test in lines.get(str(line), [])} - {""}
        home = f"tests/{mutant.path.split('/')[1]}/"
        specific = sorted(
            tests, key=lambda test: (not test.startswith(home), self.breadth[test], test)
        )
        chosen: dict[str, None] = {}
        for pair in zip(specific, self.of_each_file(tests), strict=True):
            chosen |= dict.fromkeys(pair)
            if sum(map(self.seconds.__getitem__, chosen)) > budget:
                break
        return list(chosen)

    def of_each_file(self, tests: set[str]) -> list[str]:
        by_file: dict[str, list[str]] = defaultdict(list)
        for test in sorted(tests, key=lambda test: (round(self.seconds[test], 1), test)):
            by_file[test.partition("::")[0]].append(test)
        turns = zip_longest(*by_file.values())
        return [test for turn in turns for test in turn if test]


def statement_at(mutant: Mutant) -> range:
    """The lines of the smallest statement, or of the head of one, that the mutant is in."""
    best = range(mutant.line, mutant.line + 1)
    size = sys.maxsize
    for node in ast.walk(ast.parse((ROOT / mutant.path).read_text())):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno
            if node.lineno <= mutant.line <= end and end - node.lineno < size:
                best, size = range(node.lineno, end + 1), end - node.lineno
    return best


# --- Running them --------------------------------------------------------------------------


class Ward:
    """A pytest plugin in place of the loop over tests: a fork for each mutant."""

    def __init__(self, mutants: list[Mutant], budget: float, into: Path) -> None:
        self.mutants, self.budget, self.into = mutants, budget, into
        self.covered, self.failed, self.sound = Covered(), "", dict[str, bool]()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_runtestloop(self, session: Any) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        self.make_database(session)
        self.functions = {path: functions_of(path) for path in TARGETS}
        gc.collect()
        gc.freeze()  # what the collector touches, a fork has to copy
        for mutant in self.mutants:
            self.examine(mutant)
        return True

    def make_database(self, session: Any) -> None:
        """By one test that needs it: what pytest makes for the session then stays for the forks."""
        from django.db import connection, connections

        first = next(item for item in session.items if item.get_closest_marker("django_db"))
        first.ihook.pytest_runtest_protocol(item=first, nextitem=session.items[-1])
        if self.failed:
            raise RuntimeError(self.failed)
        connections.close_all()
        self.database = Path(connection.settings_dict["NAME"])
        self.template = shutil.copy(self.database, f"{self.database}-template")

    def examine(self, mutant: Mutant) -> None:
        tests = [test for test in self.covered.tests_of(mutant, self.budget) if test in self.items]
        started = time.monotonic()
        verdict, by = self.in_a_fork(tests, mutant)
        while verdict == "killed" and not self.is_sound(by):
            tests = [test for test in tests if test != by]
            verdict, by = self.in_a_fork(tests, mutant)
        result = dict(asdict(mutant), id=mutant.id, verdict=verdict, by=by)
        result |= {
            "tests": len(tests),
            "fingerprint": fingerprint(by),
            "seconds": round(time.monotonic() - started, 1),
        }
        del result["code"]
        with self.into.open("a") as file:
            file.write(json.dumps(result) + "\n")

    def is_sound(self, test: str) -> bool:
        """Whether it passes in a fork, too, where no mutant is."""
        if test in self.items and test not in self.sound:
            self.sound[test] = self.in_a_fork([test], None)[0] == "survived"
        return self.sound.get(test, True)

    def in_a_fork(self, tests: list[str], mutant: Mutant | None) -> tuple[str, str]:
        if not tests:
            return "survived", ""
        shutil.copy(self.template, self.database)
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            self.run_tests([self.items[test] for test in tests], mutant, writing)
        os.close(writing)
        deadline = time.monotonic() + 60 + 3 * self.budget
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                os.close(reading)
                return "timeout", ""
            time.sleep(0.01)
        with os.fdopen(reading) as file:
            answer = file.read()
        return ("survived", "") if answer == "passed" else ("killed", answer or "(it ended)")

    def run_tests(self, items: list[Any], mutant: Mutant | None, writing: int) -> None:
        os.setsid()
        try:
            if mutant is not None:
                infect(mutant, self.functions[mutant.path])
            for item, following in zip(items, [*items[1:], items[0]], strict=True):
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
                if self.failed:
                    break
            os.write(writing, (self.failed or "passed").encode())
        except BaseException:  # noqa: BLE001  # the parent learns of it by the missing answer
            traceback.print_exc()
        finally:
            os._exit(0)


def fingerprint(test: str) -> str:
    """A digest of what the test function does; its case is in its name."""
    path, _, rest = test.partition("::")
    name = rest.partition("[")[0].rpartition("::")[2]
    if (ROOT / path).is_file():
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
                return digest(ast.dump(ast.Module(node.body, [])))
    return ""


def load(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(options: argparse.Namespace) -> None:
    """Continue what an interrupted run has left in ``--results``."""
    seconds = Covered().seconds
    earlier = [
        result
        for result in (load(Path(options.after)) if options.after else [])
        if result["verdict"] == "killed"
        and result["by"] in seconds
        and result["fingerprint"] == fingerprint(result["by"])
    ]
    done = {result["id"] for result in load(options.results)}
    with options.results.open("a") as file:
        for result in earlier:
            if result["id"] not in done:
                file.write(json.dumps(result) + "\n")
    common = [str(options.sample), str(options.seed), str(options.budget), str(options.results)]
    numbers = range(options.workers)
    together("run-part", [(*common, str(number), str(options.workers)) for number in numbers])
    summary(load(options.results))


def run_part(size: str, seed: str, budget: str, into: str, number: str, workers: str) -> None:
    import pytest

    done = {result["id"] for result in load(Path(into))}
    todo = [mutant for mutant in sample(int(size), int(seed)) if mutant.id not in done]
    mine = todo[int(number) :: int(workers)]
    ward = Ward(mine, float(budget), Path(into))
    files = {test.partition("::")[0] for test in ward.covered.seconds}
    pytest.main([*PYTEST, "-s", *sorted(files)], plugins=[ward])


def summary(results: list[dict[str, Any]]) -> None:
    for result in sorted(results, key=lambda result: (result["path"], result["line"])):
        if result["verdict"] != "killed":
            print(f"\n{result['path']}:{result['line']} {result['verdict']}")
            print(f"  - {result['before']}\n  + {result['after']}\n  {result['tests']} tests")
    verdicts = [result["verdict"] for result in results]
    counts = ", ".join(f"{verdicts.count(it)} {it}" for it in ("killed", "survived", "timeout"))
    print(f"\n{counts} of {len(results)}")


def main() -> None:
    description = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=description)
    parser.add_argument("what", nargs="?", choices=["list", "record", "run"])
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--sample", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds of tests a mutant")
    parser.add_argument("--results", type=Path, default=ROOT / ".mutants/results.jsonl")
    parser.add_argument("--after", help="results of the run to compare with")
    options = parser.parse_args()
    if options.what == "list":
        for found in sample(options.sample, options.seed):
            print(f"{found.path}:{found.line}\n  - {found.before}\n  + {found.after}")
    if options.what in {"record", None}:
        record(options.workers)
    if options.what in {"run", None}:
        run(options)


if __name__ == "__main__":
    # Tests interrupt their child processes, which a job in the background has taught to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.argv[1:2] == ["record-part"]:
        import pytest

        pytest.main([*PYTEST, *sys.argv[3:]], plugins=[Recorder(Path(sys.argv[2]))])
    elif sys.argv[1:2] == ["run-part"]:
        run_part(*sys.argv[2:])
    else:
        main()
