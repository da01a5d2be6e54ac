import { useCallback, useRef, useState } from "react";
import { NotAccepted, viewer, type Viewer } from "./server";

/** Where the page stands with its token. The token lives in this state and in the field, and nowhere else. */
export type Access =
  | { state: "none" }
  | { state: "asking" }
  | { state: "refused"; why: string }
  | { state: "failed"; why: string }
  | { state: "accepted"; token: string; viewer: Viewer; purpose: string | undefined };

export interface AccessControl {
  access: Access;
  present(token: string): void;
  choose(purpose: string): void;
  refuse(why: string): void;
  forget(): void;
}

export function useAccess(): AccessControl {
  const [access, setAccess] = useState<Access>({ state: "none" });
  const asked = useRef<AbortController | null>(null);

  const present = useCallback((token: string) => {
    asked.current?.abort();
    if (token === "") {
      setAccess({ state: "none" });
      return;
    }
    const asking = new AbortController();
    asked.current = asking;
    setAccess({ state: "asking" });
    viewer(token, asking.signal).then(
      (found) => {
        if (asking.signal.aborted) return;
        // With several purposes the server wants one named, and so does the page: nobody acts for a purpose unawares.
        const [only, ...others] = found.permittedPurposes;
        const purpose = others.length === 0 ? only?.code : undefined;
        setAccess({ state: "accepted", token, viewer: found, purpose });
      },
      (error: unknown) => {
        if (asking.signal.aborted) return;
        const why = error instanceof Error ? error.message : "The server does not answer.";
        setAccess({ state: error instanceof NotAccepted ? "refused" : "failed", why });
      },
    );
  }, []);

  const choose = useCallback((purpose: string) => {
    setAccess((now) => (now.state === "accepted" ? { ...now, purpose } : now));
  }, []);

  const refuse = useCallback((why: string) => setAccess({ state: "refused", why }), []);

  const forget = useCallback(() => present(""), [present]);

  return { access, present, choose, refuse, forget };
}
