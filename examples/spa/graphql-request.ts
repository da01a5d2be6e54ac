// Zweck by graphql-request: no cache, for scripts and small apps.
// #region client
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { print } from "graphql";
import { ClientError, GraphQLClient } from "graphql-request";
import type { Notes, Problem } from "./answers.ts";
import { PeopleDocument, type PeopleQuery, type PeopleQueryVariables } from "./generated.ts";
import { headers, type Session } from "./session.ts";

export function createClient(session: Session, purpose: string): GraphQLClient {
  return new GraphQLClient(`${session.url}/graphql`, {
    headers: () => headers(session, purpose),
    errorPolicy: "all",
    ...(session.fetch && { fetch: session.fetch }),
  });
}

export interface Answer<Data> {
  data?: Data | undefined;
  errors?: readonly Problem[] | undefined;
  extensions?: Notes | undefined;
}

/** Data and errors together; a refusal as a whole has errors alone. */
export async function ask<Data, Variables extends object>(
  client: GraphQLClient,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  idempotencyKey?: string,
): Promise<Answer<Data>> {
  const headers = idempotencyKey ? { "Idempotency-Key": idempotencyKey } : {};
  try {
    return (await client.rawRequest(print(document), variables, headers)) as Answer<Data>;
  } catch (error) {
    if (error instanceof ClientError) return { errors: error.response.errors ?? [] };
    throw error;
  }
}
// #endregion

// #region pages
/** Yields page after page. */
export async function* pages(client: GraphQLClient, variables: PeopleQueryVariables) {
  let page: PeopleQuery["contacts"] | undefined;
  do {
    const after = page?.pageInfo.endCursor ?? null;
    page = (await ask(client, PeopleDocument, { ...variables, after })).data?.contacts;
    if (page) yield page.edges;
  } while (page?.pageInfo.hasNextPage);
}
// #endregion
