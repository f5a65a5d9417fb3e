// Calls of better-auth's own client: node better_auth_client.mjs URL OPTIONS CALLS
// OPTIONS are fetchOptions, {} for nobody. CALLS are [[method, arguments], ...], both in JSON.
// Prints an array of {"data", "error"} as the client gave them.
import { apiKeyClient } from "@better-auth/api-key/client";
import { createAuthClient } from "better-auth/client";
import { deviceAuthorizationClient, organizationClient } from "better-auth/client/plugins";

const [url, options, calls] = process.argv.slice(2);
const client = createAuthClient({
  baseURL: url,
  basePath: "/auth",
  plugins: [deviceAuthorizationClient(), apiKeyClient(), organizationClient()],
  fetchOptions: JSON.parse(options),
});

const answers = [];
for (const [method, given] of JSON.parse(calls)) {
  const call = method.split(".").reduce((found, name) => found[name], client);
  const { data, error } = await call(...given);
  answers.push({ data, error });
}
process.stdout.write(JSON.stringify(answers));
process.exit();
