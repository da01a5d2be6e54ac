import assert from "node:assert/strict";
import test from "node:test";
import { Client, type CombinedError, fetchExchange, type OperationResult } from "@urql/core";
import type { Problem } from "./answers.ts";
import { PeopleDocument, PersonDocument } from "./generated.ts";
import { codes, marketing, prove } from "./proofs.ts";
import { headers } from "./session.ts";
import { createClients, everybody } from "./urql.ts";

function problems(error: CombinedError | undefined): readonly Problem[] {
  if (error?.networkError) throw error.networkError;
  return error?.graphQLErrors ?? [];
}

const told = ({ data, error, extensions }: OperationResult) => ({
  data,
  errors: problems(error),
  notes: extensions ?? {},
});

prove("urql", (session) => {
  const clients = createClients(session);
  return {
    query: async (purpose, document, variables) =>
      told(
        await clients
          .for(purpose)
          .query(document, variables as never, { requestPolicy: "network-only" })
          .toPromise(),
      ),
    mutate: async (purpose, document, variables) =>
      told(await clients.for(purpose).mutation(document, variables as never).toPromise()),
    everybody: (purpose, variables) => everybody(clients.for(purpose), variables),
  };
});

test("urql: two purposes in two caches do not mix", async () => {
  const clients = createClients(marketing);
  const [newsletter, consents] = [clients.for("newsletter"), clients.for("consent_management")];
  const { data } = await newsletter.query(PeopleDocument, { first: 1, phone: false, birthDate: false });
  const id = data?.contacts?.edges[0]?.node.id;
  assert.ok(id);
  assert.match((await consents.query(PersonDocument, { id })).data?.contact?.phone ?? "", /^\+/);
  assert.equal((await newsletter.query(PersonDocument, { id })).data?.contact?.phone, null);
});

test("urql: the cache keeps a denied field as null and forgets why", async () => {
  const client = createClients(marketing).for("newsletter");
  assert.equal(problems((await client.query(PeopleDocument, { first: 1 })).error).length, 2);
  const { data, error } = await client.query(PeopleDocument, { first: 1 });
  assert.equal(data?.contacts?.edges[0]?.node.phone, null);
  assert.equal(error, undefined);
});

test("urql: queries by GET, its default, are answered too", async () => {
  const client = new Client({
    url: `${marketing.url}/graphql`,
    fetchOptions: { headers: headers(marketing, "newsletter") },
    exchanges: [fetchExchange],
  });
  const { data, error } = await client.query(PeopleDocument, { first: 1 });
  assert.deepEqual([...new Set(codes(problems(error)))], ["FORBIDDEN_FIELD"]);
  assert.equal(data?.contacts?.edges.length, 1);
});
