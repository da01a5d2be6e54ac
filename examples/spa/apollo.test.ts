import assert from "node:assert/strict";
import test from "node:test";
import { ApolloClient, InMemoryCache } from "@apollo/client";
import { CombinedGraphQLErrors } from "@apollo/client/errors";
import { createClients, everybody } from "./apollo.ts";
import type { Notes, Problem } from "./answers.ts";
import { PeopleDocument, PersonDocument, WithdrawDocument } from "./generated.ts";
import { marketing, prove } from "./proofs.ts";

const policy = { errorPolicy: "all" } as const;
const all = { watchQuery: policy, query: policy, mutate: policy };
const readableOnly = { phone: false, birthDate: false };

function problems(error: unknown): readonly Problem[] {
  if (error === undefined) return [];
  if (CombinedGraphQLErrors.is(error)) return error.errors;
  throw error;
}

prove("Apollo", (session) => {
  const clients = createClients(session);
  return {
    async query(purpose, query, variables) {
      let notes: Notes = {};
      const context = { onNotes: (told: Notes) => (notes = told) };
      const asked = { query, variables, context, fetchPolicy: "network-only" } as const;
      const { data, error } = await clients.for(purpose).query(asked as never);
      return { data: data as never, errors: problems(error), notes };
    },
    async mutate(purpose, mutation, variables) {
      const asked = { mutation, variables };
      const { data, error } = await clients.for(purpose).mutate(asked as never);
      return { data: data as never, errors: problems(error), notes: {} };
    },
    everybody: (purpose, variables) => everybody(clients.for(purpose), variables),
  };
});

test("Apollo: two purposes in two caches do not mix", async () => {
  const clients = createClients(marketing);
  const [newsletter, consents] = [clients.for("newsletter"), clients.for("consent_management")];
  const { data } = await newsletter.query({ query: PeopleDocument, variables: { first: 1, ...readableOnly } });
  const id = data?.contacts?.edges[0]?.node.id;
  assert.ok(id);
  const asked = { query: PersonDocument, variables: { id } };
  assert.match((await consents.query(asked)).data?.contact?.phone ?? "", /^\+/);
  assert.equal((await newsletter.query(asked)).data?.contact?.phone, null);
  assert.doesNotMatch(JSON.stringify(newsletter.cache.extract()), /\+49|\+44/);
  // One cache for both would show the number for a purpose that may not read it.
  const shared = new InMemoryCache();
  const sharing = ({ link }: ApolloClient) =>
    new ApolloClient({ link, cache: shared, defaultOptions: all });
  await sharing(consents).query(asked);
  const leaked = await sharing(newsletter).query(asked);
  assert.match(leaked.data?.contact?.phone ?? "", /^\+/);
});

test("Apollo: the cache keeps a denied field as null and forgets why", async () => {
  const client = createClients(marketing).for("newsletter");
  const asked = { query: PeopleDocument, variables: { first: 1 } };
  assert.equal(problems((await client.query(asked)).error).length, 2);
  const { data, error } = await client.query(asked);
  assert.equal(data?.contacts?.edges[0]?.node.phone, null);
  assert.equal(error, undefined);
});

test("Apollo: a list that came with errors does not grow", async () => {
  const client = createClients(marketing).for("newsletter");
  assert.equal((await everybody(client, { first: 10 })).length, 10);
  await client.clearStore();
  assert.ok((await everybody(client, { first: 10, ...readableOnly })).length > 10);
});

test("Apollo: a person that is forgotten leaves the lists of every purpose", async () => {
  const clients = createClients(marketing);
  const client = clients.for("newsletter");
  const variables = { first: 10, ...readableOnly };
  const listed = () => client.readQuery({ query: PeopleDocument, variables })?.contacts?.edges ?? [];
  await client.query({ query: PeopleDocument, variables });
  const id = listed()[0]?.node.id;
  assert.ok(id);
  const input = { contactId: id, purpose: "newsletter" };
  await clients.for("consent_management").mutate({ mutation: WithdrawDocument, variables: { input } });
  assert.equal(listed().length, 10);
  clients.forget(id);
  assert.equal(listed().length, 9);
  await clients.signOut();
  assert.deepEqual(client.cache.extract(), {});
});
