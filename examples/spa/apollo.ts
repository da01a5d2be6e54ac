// Zweck by Apollo Client.
// #region client
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from "@apollo/client";
import { SetContextLink } from "@apollo/client/link/context";
import { RetryLink } from "@apollo/client/link/retry";
import { relayStylePagination } from "@apollo/client/utilities";
import { tap } from "rxjs";
import { PeopleDocument, type PeopleQueryVariables } from "./generated.ts";
import { headers, type Session } from "./session.ts";

declare module "@apollo/client" {
  namespace ApolloClient.DeclareDefaultOptions {
    interface WatchQuery {
      errorPolicy: "all";
    }
    interface Query {
      errorPolicy: "all";
    }
    interface Mutate {
      errorPolicy: "all";
    }
  }
}

function createClient(session: Session, purpose: string): ApolloClient {
  // Read for every request, so that a renewed token is used at once.
  const credential = new SetContextLink((previous) => ({
    headers: { ...previous.headers, ...headers(session, purpose) },
  }));
  const http = new HttpLink({
    uri: `${session.url}/graphql`,
    ...(session.fetch && { fetch: session.fetch }),
  });
  return new ApolloClient({
    link: ApolloLink.from([notes, idempotency, new RetryLink(), credential, http]),
    cache: new InMemoryCache({
      typePolicies: {
        Query: { fields: { contacts: relayStylePagination(["filter", "search", "orderBy"]) } },
        Viewer: { keyFields: [] },
      },
    }),
    defaultOptions: {
      watchQuery: { errorPolicy: "all" },
      query: { errorPolicy: "all" },
      mutate: { errorPolicy: "all" },
    },
  });
}

/** One client, and with it one cache, for each purpose. */
export function createClients(session: Session) {
  const clients = new Map<string, ApolloClient>();
  return {
    for(purpose: string): ApolloClient {
      const client = clients.get(purpose) ?? createClient(session, purpose);
      clients.set(purpose, client);
      return client;
    },
    /** Drops a person from every cache; lists lose the row at once. */
    forget(id: string): void {
      for (const { cache } of clients.values()) {
        cache.evict({ id: `Contact:${id}` });
        cache.gc();
      }
    },
    /** Leaves nothing behind for the next user. */
    async signOut(): Promise<void> {
      await Promise.all([...clients.values()].map((client) => client.clearStore()));
      clients.clear();
    },
  };
}
// #endregion

// #region links
/** Hands `extensions` of the answer to whoever asked: `context: { onNotes }`. */
const notes = new ApolloLink((operation, forward) => {
  const { onNotes } = operation.getContext();
  return forward(operation).pipe(tap(({ extensions }) => onNotes?.(extensions ?? {})));
});

/** Gives each mutation a key. It stands before the retries, so that they repeat the key. */
const idempotency = new SetContextLink(({ headers }, { operationType }) => {
  if (operationType !== "mutation") return {};
  return { headers: { "idempotency-key": crypto.randomUUID(), ...headers } };
});
// #endregion

// #region pages
/** Reads page after page into one list. */
export async function everybody(client: ApolloClient, variables: PeopleQueryVariables) {
  const list = client.watchQuery({ query: PeopleDocument, variables });
  let { data } = await list.refetch();
  while (data?.contacts?.pageInfo.hasNextPage) {
    const after = data.contacts.pageInfo.endCursor;
    ({ data } = await list.fetchMore({ variables: { after }, errorPolicy: "all" }));
  }
  const all = list.getCurrentResult();
  return all.dataState === "complete" ? (all.data.contacts?.edges ?? []) : [];
}
// #endregion
