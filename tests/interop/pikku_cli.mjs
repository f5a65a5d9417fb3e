// The Pikku CLI's `login`, `whoami` and `logout`, as they are on the wire and on the disk.
// The package that npm has doesn't know these commands yet.
// node pikku_cli.mjs login|whoami|logout [--url URL] [--scope SCOPE]
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

const GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code";
const CLIENT_ID = "pikku-cli";
const FILE = join(homedir(), ".pikku", "session.json");

function read() {
  try {
    const { sessions, current } = JSON.parse(readFileSync(FILE, "utf8"));
    return { sessions: sessions ?? {}, current };
  } catch {
    return { sessions: {} };
  }
}

function write(content) {
  mkdirSync(dirname(FILE), { recursive: true });
  writeFileSync(FILE, JSON.stringify(content, null, 2), { mode: 0o600 });
}

const normalise = (url) => url.trim().replace(/\/+$/, "");

function post(url, body) {
  const headers = { "content-type": "application/json" };
  return fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
}

async function poll(auth, code) {
  const deadline = Date.now() + code.expires_in * 1000;
  let interval = Math.max(1, code.interval);
  while (Date.now() < deadline) {
    await sleep(interval * 1000);
    const answer = await post(`${auth}/device/token`, {
      grant_type: GRANT_TYPE,
      device_code: code.device_code,
      client_id: CLIENT_ID,
    });
    const body = await answer.json().catch(() => ({}));
    if (answer.ok && body.access_token) return body;
    if (body.error === "authorization_pending") continue;
    if (body.error === "slow_down") interval += 5;
    else if (body.error === "access_denied") throw new Error("Login was denied in the browser.");
    else if (body.error === "expired_token") break;
    else throw new Error(`device/token failed (${answer.status}): ${JSON.stringify(body)}`);
  }
  throw new Error("Login timed out before it was approved.");
}

async function whoIs(auth, token) {
  try {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${auth}/get-session`, { headers });
    return (answer.ok && (await answer.json())) || {};
  } catch {
    return {};
  }
}

async function login({ url, scope }) {
  const baseURL = normalise(url ?? "http://localhost:3000");
  const auth = `${baseURL}/auth`;
  const answer = await post(`${auth}/device/code`, { client_id: CLIENT_ID, scope });
  if (!answer.ok) throw new Error(`device/code failed (${answer.status}): ${await answer.text()}`);
  const code = await answer.json();
  console.log("  To finish signing in, open:");
  console.log(`    ${code.verification_uri_complete ?? code.verification_uri}`);
  console.log(`  And confirm this code:  ${code.user_code}`);
  console.log("  Waiting for approval…");

  const token = await poll(auth, code);
  const { session, user } = await whoIs(auth, token.access_token);
  const entry = {
    baseURL,
    accessToken: token.access_token,
    tokenType: token.token_type ?? "Bearer",
    expiresAt: expiry(session, token),
    user: user && { id: user.id, email: user.email, name: user.name },
    obtainedAt: new Date().toISOString(),
  };
  const { sessions } = read();
  write({ sessions: { ...sessions, [baseURL]: entry }, current: baseURL });
  console.log(`✓ Logged in as ${user?.email ?? user?.id ?? "authenticated"} on ${baseURL}`);
}

function expiry(session, token) {
  if (session?.expiresAt) return new Date(session.expiresAt).toISOString();
  if (typeof token.expires_in !== "number") return undefined;
  return new Date(Date.now() + token.expires_in * 1000).toISOString();
}

function whoami({ url }) {
  const { sessions, current } = read();
  const found = sessions[url ? normalise(url) : current];
  if (!found) return console.log("Not logged in. Run `pikku login` to authenticate.");
  console.log(`Logged in as ${found.user?.email ?? found.user?.id ?? "(unknown user)"}`);
  console.log(`  Server : ${found.baseURL}`);
}

function logout({ url }) {
  const content = read();
  const key = url ? normalise(url) : content.current;
  if (!content.sessions[key]) return console.log("No active session to log out of.");
  delete content.sessions[key];
  const left = Object.keys(content.sessions);
  if (content.current === key) content.current = left[0];
  if (left.length) write(content);
  else rmSync(FILE);
  console.log(`✓ Logged out of ${key}`);
}

const options = { url: { type: "string", short: "u" }, scope: { type: "string" } };
const { positionals, values } = parseArgs({ options, allowPositionals: true });
try {
  await { login, whoami, logout }[positionals[0]](values);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
