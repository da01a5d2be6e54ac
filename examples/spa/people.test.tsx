import assert from "node:assert/strict";
import test from "node:test";
import { prerenderStatic } from "@apollo/client/react/ssr";
import { renderToString } from "react-dom/server";
import { createClients } from "./apollo.ts";
import { PeoplePage } from "./people.tsx";
import { marketing } from "./proofs.ts";

test("React: a page shows what its purpose allows", async () => {
  const clients = createClients(marketing);
  const rendered = async (purpose: string) => {
    const tree = <PeoplePage clients={clients} purpose={purpose} />;
    const { result } = await prerenderStatic({ tree, renderFunction: renderToString });
    return result;
  };
  const newsletter = await rendered("newsletter");
  assert.equal(newsletter.split("<tr>").length, 22);
  assert.match(newsletter, /<td>.\*\*\* \(masked\)<\/td><td>not for this purpose<\/td>/u);
  assert.doesNotMatch(newsletter, /role="alert"|\+49/);
  assert.match(await rendered("consent_management"), /\+49/);
});
