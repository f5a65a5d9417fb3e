// One call of better-auth's own client: node better_auth_client.mjs URL TOKEN METHOD ARGUMENTS
// TOKEN may be empty. ARGUMENTS is a JSON array. Prints {"data", "error"} as the client gave them.
import { createAuthClient } from "better-auth/client";
import { deviceAuthorizationClient } from "better-auth/client/plugins";

const [url, token, method, given] = process.argv.slice(2);
const client = createAuthClient({
  baseURL: url,
  basePath: "/auth",
  plugins: [deviceAuthorizationClient()],
  fetchOptions: token ? { auth: { type: "Bearer", token } } : {},
});

const call = method.split(".").reduce((found, name) => found[name], client);
const { data, error } = await call(...JSON.parse(given));
process.stdout.write(JSON.stringify({ data, error }));
process.exit();
