// A real better-auth server with its data in memory, which logs what its endpoints answer.
// node better_auth_server.mjs PACKAGE PORT OPTIONS-OF-THE-DEVICE-FLOW
import { createServer } from "node:http";

const [name, port, options] = process.argv.slice(2);
const { betterAuth } = await import(name);
const { memoryAdapter } = await import(`${name}/adapters/memory`);
const { createAuthMiddleware } = await import(`${name}/api`);
const { toNodeHandler } = await import(`${name}/node`);
const { bearer, deviceAuthorization, organization } = await import(`${name}/plugins`);

const tables = { user: [], session: [], account: [], verification: [], deviceCode: [] };
const plugins = [deviceAuthorization(JSON.parse(options)), bearer()];
if (name === "better-auth") {
  const { apiKey } = await import("@better-auth/api-key"); // which imports that line of it
  Object.assign(tables, { apikey: [], organization: [], member: [], invitation: [] });
  plugins.push(organization(), apiKey({ references: "organization", enableMetadata: true }));
}
const auth = betterAuth({
  baseURL: `http://127.0.0.1:${port}`,
  basePath: "/auth",
  secret: "only-for-these-tests-and-long-enough",
  database: memoryAdapter(tables),
  emailAndPassword: { enabled: true },
  plugins,
  hooks: {
    after: createAuthMiddleware(async ({ path, context }) => {
      console.log(path, context.returned?.body?.error ?? "");
    }),
  },
});

createServer(toNodeHandler(auth)).listen(Number(port), "127.0.0.1");
