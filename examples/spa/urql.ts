// Zweck by urql.
// #region client
import { Client, type Exchange, fetchExchange, makeOperation, mapExchange } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import { retryExchange } from "@urql/exchange-retry";
import { PeopleDocument, type PeopleQueryVariables } from "./generated.ts";
import { headers, type Session } from "./session.ts";

function createClient(session: Session, purpose: string): Client {
  return new Client({
    url: `${session.url}/graphql`,
    preferGetMethod: false,
    // Called for every request, so that a renewed token is used at once.
    fetchOptions: () => ({ headers: headers(session, purpose) }),
    ...(session.fetch && { fetch: session.fetch }),
    exchanges: [
      cacheExchange({
        keys: {
          Viewer: () => "viewer",
          Purpose: ({ code }) => String(code),
          FieldAccess: ({ coordinate }) => String(coordinate),
        },
        resolvers: { Query: { contacts: relayPagination() } },
      }),
      idempotency,
      retryExchange({ initialDelayMs: 200, maxNumberAttempts: 5 }),
      fetchExchange,
    ],
  });
}

/** One client, and with it one cache, for each purpose. */
export function createClients(session: Session) {
  const clients = new Map<string, Client>();
  return {
    for(purpose: string): Client {
      const client = clients.get(purpose) ?? createClient(session, purpose);
      clients.set(purpose, client);
      return client;
    },
    signOut(): void {
      clients.clear();
    },
  };
}
// #endregion

// #region idempotency
/** Gives each mutation a key. It stands before the retries, so that they repeat the key. */
const idempotency: Exchange = mapExchange({
  onOperation(operation) {
    const { context, kind } = operation;
    if (kind !== "mutation") return operation;
    const key = crypto.randomUUID();
    const fetchOptions = () => {
      const given = context.fetchOptions;
      const options = typeof given === "function" ? given() : given;
      const headers = new Headers(options?.headers);
      if (!headers.has("Idempotency-Key")) headers.set("Idempotency-Key", key);
      return { ...options, headers: Object.fromEntries(headers) };
    };
    return makeOperation(kind, operation, { ...context, fetchOptions });
  },
});
// #endregion

// #region pages
/** Reads page after page into one list. */
export async function everybody(client: Client, variables: PeopleQueryVariables) {
  let { data } = await client.query(PeopleDocument, variables);
  while (data?.contacts?.pageInfo.hasNextPage) {
    const after = data.contacts.pageInfo.endCursor;
    ({ data } = await client.query(PeopleDocument, { ...variables, after }));
  }
  return data?.contacts?.edges ?? [];
}
// #endregion
