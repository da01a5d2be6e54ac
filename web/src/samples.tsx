import { useGraphiQL, useGraphiQLActions, type TabsState } from "@graphiql/react";
import { Kind, parse, type GraphQLSchema } from "graphql";
import { useLayoutEffect, useRef } from "react";
import audit from "./examples/audit.graphql?raw";
import consents from "./examples/consents.graphql?raw";
import contacts from "./examples/contacts.graphql?raw";
import purposes from "./examples/purposes.graphql?raw";
import requests from "./examples/requests.graphql?raw";
import rights from "./examples/rights.graphql?raw";
import tokens from "./examples/tokens.graphql?raw";

type Tab = TabsState["tabs"][number];

/** In the order of their tabs. */
const SAMPLES = [contacts, requests, consents, audit, tokens, rights, purposes];

/** What is shown before a token says who asks. */
export const FIRST = [contacts, rights, purposes];

/** The root fields of a query. */
function roots(query: string): string[] {
  return parse(query).definitions.flatMap((definition) =>
    definition.kind === Kind.OPERATION_DEFINITION
      ? definition.selectionSet.selections.flatMap((field) => (field.kind === Kind.FIELD ? [field.name.value] : []))
      : [],
  );
}

/** Samples that whoever is shown `schema` may run. */
function permitted(schema: GraphQLSchema): string[] {
  const fields = schema.getQueryType()?.getFields() ?? {};
  return SAMPLES.filter((query) => roots(query).every((name) => name in fields));
}

let made = 0;

function open(query: string): Tab {
  const title = /^query (\w+)/m.exec(query)?.[1] ?? "Sample";
  const empty = { variables: null, headers: null, response: null };
  made += 1;
  return { ...empty, id: `sample-${made}`, hash: `${query}||`, title, query, operationName: title };
}

/** Opens the samples that the caller may run, and closes the others. Tabs in which somebody has written stay. */
export function Samples({ schema }: { schema: GraphQLSchema | undefined }) {
  const tabs = useGraphiQL((state) => state.tabs);
  const active = useGraphiQL((state) => state.activeTabIndex);
  const { moveTab, changeTab, closeTab } = useGraphiQLActions();
  const offered = useRef(FIRST);
  // Before anything else can change the tabs.
  useLayoutEffect(() => {
    if (!schema) return;
    const [before, now] = [offered.current, permitted(schema)];
    offered.current = now;
    const place = ({ query }: Tab) => SAMPLES.indexOf(query ?? "");
    const wanted = tabs.filter((tab) => place(tab) < 0 || now.includes(tab.query ?? ""));
    for (const query of now.filter((query) => !before.includes(query))) {
      if (wanted.some((tab) => tab.query === query)) continue;
      const next = wanted.findIndex((tab) => place(tab) > SAMPLES.indexOf(query));
      wanted.splice(next < 0 ? wanted.length : next, 0, open(query));
    }
    if (wanted.length === tabs.length && wanted.every((tab, index) => tab === tabs[index])) return;
    const shown = tabs[active];
    if (!shown || wanted.includes(shown)) {
      moveTab(wanted);
    } else {
      // The tab in front goes last, when another one is in front.
      moveTab([...wanted, shown]);
      changeTab(0);
      closeTab(wanted.length);
    }
  }, [schema]);
  return null;
}
