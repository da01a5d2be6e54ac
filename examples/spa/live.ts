// Live updates by graphql-ws.
// #region live
import { print } from "graphql";
import { type Client, createClient } from "graphql-ws";
import { RequestChangedDocument, type RequestChangedSubscription } from "./generated.ts";
import { headers, type Session } from "./session.ts";

/** Refused for good: another token, purpose or program is needed. */
const REFUSED = 4403;

export function createLive(session: Session, purpose: string, webSocketImpl?: unknown): Client {
  const url = new URL(`${session.url}/graphql`, globalThis.location?.href);
  url.protocol = url.protocol.replace("http", "ws");
  return createClient({
    url: url.href,
    lazy: true,
    connectionParams: () => headers(session, purpose),
    retryAttempts: 10,
    shouldRetry: (closed) => (closed as Partial<CloseEvent>).code !== REFUSED,
    ...(webSocketImpl ? { webSocketImpl } : {}),
  });
}

export type Change = NonNullable<RequestChangedSubscription["requestChanged"]>;

/** Reports every data-subject request that is opened or changed, until the function it returns is called. */
export function follow(client: Client, onChange: (change: Change) => void, onEnd: (reason: unknown) => void) {
  return client.subscribe<RequestChangedSubscription>(
    { query: print(RequestChangedDocument) },
    {
      next: ({ data }) => data?.requestChanged && onChange(data.requestChanged),
      error: onEnd,
      complete: () => {},
    },
  );
}
// #endregion
