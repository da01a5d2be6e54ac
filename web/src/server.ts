// Everything the page sends leaves through here: to our own origin, with the credential in a header and nowhere else.

export interface Purpose {
  code: string;
  title: string | null;
  /** Null for a group of purposes. */
  legalBasis: string | null;
}

/** Who a token speaks for. */
export interface Viewer {
  actorId: string;
  roles: string[];
  permittedPurposes: Purpose[];
}

/** What an administrator sees of a token. */
export interface TokenRecord {
  name: string | null;
  expiresAt: string | null;
}

export interface Problem {
  message?: string;
  locations?: { line: number; column: number }[];
  extensions?: { code?: string; coordinate?: string };
}

/** An answer, as far as the page itself reads it. */
export interface Answer {
  data?: unknown;
  errors?: Problem[];
  extensions?: {
    masked?: string[];
    withheld?: { coordinate: string; reason: string; count: number }[];
  };
}

/** The server does not take the token. */
export class NotAccepted extends Error {}

export interface Credential {
  token: string;
  /** Absent only while the purposes are asked for. */
  purpose?: string;
}

/** Sends one operation. */
export async function send(credential: Credential, body: unknown, signal: AbortSignal): Promise<Answer> {
  const headers: Record<string, string> = {
    // By this type even a document with mistakes is answered with 200: GraphiQL shows the mistakes.
    Accept: "application/json",
    "Content-Type": "application/json",
    Authorization: `Bearer ${credential.token}`,
  };
  if (credential.purpose !== undefined) {
    headers["X-Processing-Purpose"] = credential.purpose;
  }
  const response = await fetch("/graphql", {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    signal,
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    referrerPolicy: "no-referrer",
  });
  if (response.status === 401) {
    throw new NotAccepted("This token is not accepted: it is unknown, expired or revoked.");
  }
  const answer: unknown = await response.json().catch(() => null);
  if (typeof answer !== "object" || answer === null) {
    throw new Error(`The server answers with status ${response.status} and no JSON.`);
  }
  return answer as Answer;
}

const VIEWER = "query Viewer { viewer { actorId roles permittedPurposes { code title legalBasis } } }";

/** Asks what a token may be used for. */
export async function viewer(token: string, signal: AbortSignal): Promise<Viewer> {
  // What no header can carry is no token.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new NotAccepted("This is not a token: it has spaces or other characters that no token has.");
  }
  const answer = await send({ token }, { query: VIEWER }, signal);
  const data = answer.data as { viewer?: Viewer } | null | undefined;
  if (!data?.viewer) {
    throw new Error(answer.errors?.[0]?.message ?? "The server does not say what this token is for.");
  }
  return data.viewer;
}

const TOKENS = "query Tokens { accessTokens { id name expiresAt } }";

/** What the API says of the token itself, to whom it shows tokens; nothing of a person who signed in. */
export async function tokenRecord(
  credential: Credential,
  actorId: string,
  signal: AbortSignal,
): Promise<TokenRecord | undefined> {
  const answer = await send(credential, { query: TOKENS }, signal);
  const data = answer.data as { accessTokens?: ({ id: string } & TokenRecord)[] | null } | null | undefined;
  return data?.accessTokens?.find(({ id }) => actorId === `token:${id}`);
}
