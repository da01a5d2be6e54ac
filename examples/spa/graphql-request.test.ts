import type { GraphQLClient } from "graphql-request";
import { ask, createClient, pages } from "./graphql-request.ts";
import { prove } from "./proofs.ts";

prove("graphql-request", (session) => {
  const client = (purpose: string): GraphQLClient => createClient(session, purpose);
  return {
    async query(purpose, document, variables) {
      const { data, errors = [], extensions = {} } = await ask(client(purpose), document, variables);
      return { data, errors, notes: extensions };
    },
    async mutate(purpose, document, variables) {
      const key = crypto.randomUUID();
      const send = () => ask(client(purpose), document, variables, key);
      const { data, errors = [] } = await send().catch(send);
      return { data, errors, notes: {} };
    },
    async everybody(purpose, variables) {
      const all = [];
      for await (const page of pages(client(purpose), variables)) all.push(...page);
      return all;
    },
  };
});
