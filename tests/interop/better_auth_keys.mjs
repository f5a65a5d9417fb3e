// A real better-auth server whose callers have API keys. node better_auth_keys.mjs PORT
// GET /keys/ tells the keys, GET /dump/ its table, and GET /reports/ is for whoever has a good key.
import { createServer } from "node:http";
import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";

const [port] = process.argv.slice(2);
const tables = { user: [], session: [], account: [], verification: [], apikey: [] };
const auth = betterAuth({
  baseURL: `http://127.0.0.1:${port}`,
  secret: "only-for-these-tests-and-long-enough",
  database: memoryAdapter(tables),
  emailAndPassword: { enabled: true },
  plugins: [apiKey({ enableMetadata: true, rateLimit: { enabled: false } })],
});

const { user } = await auth.api.signUpEmail({
  body: { email: "ada@example.com", password: "correct-horse", name: "Ada" },
});
const keys = {};
async function make(name, more) {
  const made = await auth.api.createApiKey({ body: { name, userId: user.id, ...more } });
  keys[name] = made.key;
  return made;
}
const permissions = { reports: ["read"] };
await make("billing", { permissions, expiresIn: 90 * 24 * 3600, metadata: { team: "one" } });
await make("nightly", { permissions, remaining: 100, refillAmount: 100, refillInterval: 3600_000 });
await make("plain", {});
const paused = await make("paused", { permissions });
await auth.api.updateApiKey({ body: { keyId: paused.id, userId: user.id, enabled: false } });

async function answer(request) {
  if (request.url === "/keys/") return [200, keys];
  if (request.url === "/dump/") return [200, tables.apikey];
  const key = request.headers["x-api-key"] ?? "";
  const { valid } = await auth.api.verifyApiKey({ body: { key } });
  return valid ? [200, { user: "" }] : [401, {}];
}

createServer(async (request, response) => {
  const [status, body] = await answer(request);
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(body));
}).listen(Number(port), "127.0.0.1");
