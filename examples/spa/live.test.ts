import assert from "node:assert/strict";
import test from "node:test";
import { WebSocket } from "ws";
import { createClients } from "./apollo.ts";
import { OpenDocument, PeopleDocument } from "./generated.ts";
import { type Change, createLive, follow } from "./live.ts";
import { desk, marketing } from "./proofs.ts";

test("graphql-ws: whoever follows requests is told of a new one", { timeout: 30_000 }, async () => {
  const client = createClients(desk).for("rights_fulfilment");
  const { data } = await client.query({ query: PeopleDocument, variables: { first: 1 } });
  const contactId = data?.contacts?.edges[0]?.node.id;
  assert.ok(contactId);
  const live = createLive(desk, "rights_fulfilment", WebSocket);
  const changes: Change[] = [];
  const changed = new Promise<void>((resolve, reject) => {
    follow(
      live,
      (change) => {
        changes.push(change);
        resolve();
      },
      reject,
    );
  });
  // Nothing says when a subscription has begun: open requests until one is told.
  let opened = 0;
  const opening = setInterval(() => {
    opened += 1;
    void client.mutate({ mutation: OpenDocument, variables: { input: { contactId, kind: "ACCESS" } } });
  }, 500);
  await changed.finally(() => clearInterval(opening));
  assert.ok(opened > 0);
  assert.equal(changes[0]?.kind, "ACCESS");
  assert.equal(changes[0]?.status, "RECEIVED");
  await live.dispose();
});

test("graphql-ws: a purpose that is not permitted closes with 4403, once", { timeout: 30_000 }, async () => {
  const live = createLive(marketing, "rights_fulfilment", WebSocket);
  let closed = 0;
  live.on("closed", () => (closed += 1));
  const reason = await new Promise((resolve) => follow(live, () => {}, resolve));
  const { code, reason: text } = reason as CloseEvent;
  assert.deepEqual([code, text], [4403, "Forbidden: PURPOSE_NOT_PERMITTED"]);
  assert.equal(closed, 1);
});
