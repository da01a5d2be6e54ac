import type { Fetcher } from "@graphiql/toolkit";
import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { GraphiQL } from "graphiql";
import type { GraphQLSchema } from "graphql";
import { useEffect, useMemo, useState } from "react";
import { useAccess } from "./access";
import { Bar } from "./bar";
import { Denied } from "./denied";
import { memory } from "./memory";
import { omitted, type Omitted } from "./omitted";
import { FIRST, Samples } from "./samples";
import { NotAccepted, send } from "./server";

const EXAMPLES = FIRST.map((query) => ({ query }));
const INTROSPECTION = "IntrospectionQuery";

/** Clears old answers when somebody else asks, or for something else: they are not answers to that. */
function Forget({ when }: { when: unknown }) {
  const editor = useGraphiQL((state) => state.responseEditor);
  const tabs = useGraphiQL((state) => state.tabs);
  const { updateActiveTabValues } = useGraphiQLActions();
  useEffect(() => {
    // Those of the other tabs, which are shown when one goes there.
    for (const tab of tabs) tab.response = null;
    editor?.setValue("");
    updateActiveTabValues({ response: null });
    // Not with each change of a tab: that would clear the answer that has just come.
  }, [when, editor]);
  return null;
}

/** Sets what GraphiQL leaves to Monaco. */
function Options() {
  const query = useGraphiQL((state) => state.queryEditor);
  const response = useGraphiQL((state) => state.responseEditor);
  useEffect(() => {
    // A small screen shows few letters of a line.
    query?.updateOptions({ wordWrap: "on" });
    // Names of people are written in many letters; none of them is to be marked as taken for another.
    response?.updateOptions({ unicodeHighlight: { ambiguousCharacters: false } });
  }, [query, response]);
  return null;
}

/** Follows the system when it turns light or dark and nobody has chosen otherwise: the editor keeps its colours by itself. */
function FollowSystem() {
  const theme = useGraphiQL((state) => state.theme);
  const { setTheme } = useGraphiQLActions();
  useEffect(() => {
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    const follow = () => {
      if (theme === null) setTheme(null);
    };
    dark.addEventListener("change", follow);
    return () => dark.removeEventListener("change", follow);
  }, [theme, setTheme]);
  return null;
}

export function Page() {
  const control = useAccess();
  const { access, refuse } = control;
  const [left, setLeft] = useState<Omitted[]>([]);
  const [schema, setSchema] = useState<GraphQLSchema>();
  const [storage] = useState(memory);
  const viewer = access.state === "accepted" ? access.viewer : undefined;
  const token = access.state === "accepted" ? access.token : undefined;
  const purpose = access.state === "accepted" ? access.purpose : undefined;
  const credential = useMemo(
    () => (token === undefined || purpose === undefined ? undefined : { token, purpose }),
    [token, purpose],
  );

  const asking = useMemo(() => new AbortController(), [token, purpose]);
  useEffect(() => {
    setLeft([]);
    // That of somebody else, or for something else.
    setSchema(undefined);
    return () => asking.abort(new Error("Given up, since the token or the purpose was changed."));
  }, [asking]);

  // Another fetcher makes GraphiQL ask for the schema anew.
  const fetcher = useMemo<Fetcher>(
    () => async (operation) => {
      const own = operation.operationName !== INTROSPECTION;
      if (own) setLeft([]);
      try {
        if (token === undefined) throw new Error("Enter an access token above first.");
        if (purpose === undefined) throw new Error("Choose the purpose above first.");
        const answer = await send({ token, purpose }, operation, asking.signal);
        if (own) setLeft(omitted(answer));
        return answer as object;
      } catch (error) {
        if (error instanceof NotAccepted) refuse(error.message);
        // Of what is thrown GraphiQL shows the stack as well; of a schema that was given up it must be told in this way.
        if (!own || !(error instanceof Error)) throw error;
        return { errors: [{ message: error.message }] } as object;
      }
    },
    [token, purpose, asking, refuse],
  );

  return (
    <>
      <Bar {...control} schema={schema} />
      <div className="left-out" role="status" aria-label="Left out of the last answer">
        {left.length > 0 && (
          <ul>
            {left.map(({ text, coordinates }) => (
              <li key={text}>
                {text}: <code>{coordinates.join(", ")}</code>
              </li>
            ))}
          </ul>
        )}
      </div>
      <main className="editor">
        <GraphiQL
          fetcher={fetcher}
          // Null keeps GraphiQL from asking for a schema that nobody would give it.
          {...(credential ? {} : { schema: null })}
          onSchemaChange={setSchema}
          storage={storage}
          defaultTabs={EXAMPLES}
          introspectionQueryName={INTROSPECTION}
          inputValueDeprecation
          isHeadersEditorEnabled={false}
          shouldPersistHeaders={false}
          showPersistHeadersSettings={false}
        >
          {/* The bar above has the name. */}
          <GraphiQL.Logo>{""}</GraphiQL.Logo>
          <Forget when={asking} />
          <Options />
          <FollowSystem />
          <Samples schema={schema} />
          <Denied credential={credential} roles={viewer?.roles ?? []} schema={schema} />
        </GraphiQL>
      </main>
    </>
  );
}
