// Who asks, and where.
// #region session
export interface Session {
  /** Origin of the server; "" in a browser, where the app is served beside it. */
  url: string;
  /** The access token of the user; replace it when it is renewed. */
  token: string;
  fetch?: typeof fetch;
}

export function headers(session: Session, purpose: string): Record<string, string> {
  return { Authorization: `Bearer ${session.token}`, "X-Processing-Purpose": purpose };
}
// #endregion
