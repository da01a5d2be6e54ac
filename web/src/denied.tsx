import { useGraphiQL, useMonaco } from "@graphiql/react";
import type { ASTNode, GraphQLSchema } from "graphql";
import { useEffect } from "react";
import { check, denied, unknown } from "./denials";
import { send, type Credential } from "./server";

/** Whose marks the editor's own checks are. */
const OWNER = "graphql";
/** How a second line begins. */
const SECOND = "\nNot ";
/** So long nothing must be typed before the server is asked, in milliseconds. */
const PAUSE = 300;

interface Props {
  credential: Credential | undefined;
  roles: string[];
  /** As far as the credential may use it. */
  schema: GraphQLSchema | undefined;
}

/** Adds to "Cannot query field" and its like a second line where the server knows the field, and denies it. */
export function Denied({ credential, roles, schema }: Props) {
  const monaco = useMonaco((state) => state.monaco);
  const editor = useGraphiQL((state) => state.queryEditor);
  const document = useGraphiQL((state) => state.documentAST);
  const role = roles.join(", ");
  useEffect(() => {
    const model = editor?.getModel();
    if (!monaco || !model) return;
    if (!credential || !schema || !document || unknown(schema, document).length === 0) return;
    const asking = new AbortController();
    /** Second lines, by the offset at which the editor underlines. */
    const lines = new Map<number, string>();
    const amend = () => {
      if (model.isDisposed()) return;
      let changed = false;
      const markers = monaco.editor.getModelMarkers({ resource: model.uri, owner: OWNER }).map((marker) => {
        const { startLineNumber: lineNumber, startColumn: column } = marker;
        const second = lines.get(model.getOffsetAt({ lineNumber, column })) ?? "";
        const message = marker.message.split(SECOND, 1) + second;
        changed ||= message !== marker.message;
        return { ...marker, message };
      });
      if (changed) monaco.editor.setModelMarkers(model, OWNER, markers);
    };
    const ask = async () => {
      const asked = check(document);
      const answer = await send(credential, asked, asking.signal);
      if (asking.signal.aborted) return;
      for (const { node, read } of denied(schema, document, asked, answer)) {
        lines.set(offset(node), `${SECOND}${read ? "readable" : "permitted"} as ${role} for ${credential.purpose}.`);
      }
      amend();
    };
    // Without an answer the editor says what it says by itself; the next operation tells why.
    const pause = setTimeout(() => void ask().catch(() => undefined), PAUSE);
    // The editor may mark later than the server answers, and anew.
    const marked = monaco.editor.onDidChangeMarkers(amend);
    return () => {
      clearTimeout(pause);
      asking.abort();
      marked.dispose();
      // They are about this caller and purpose.
      lines.clear();
      amend();
    };
  }, [monaco, editor, document, credential, schema, role]);
  return null;
}

/** Where the editor underlines a node: at its name, if it has one. */
function offset(node: ASTNode): number {
  const { loc } = "name" in node && node.name ? node.name : node;
  return loc?.start ?? 0;
}
