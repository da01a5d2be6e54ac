// Runs every server audit of graphql-http against the server at ZWECK_URL, as the bearer of ZWECK_TOKEN, and prints what fails.
import { auditServer } from "graphql-http";

const { ZWECK_URL: url, ZWECK_TOKEN: token } = process.env;
const fetchFn = (input, init = {}) =>
  fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } });

const results = await auditServer({ url, fetchFn });
const failed = results.filter(({ status }) => status !== "ok");
for (const { id, name, status, reason } of failed) console.log(`${status} ${id} ${name}: ${reason}`);
console.log(`${results.length - failed.length} of ${results.length} audits pass`);
