// A page that lists people for one purpose, with React and Apollo Client.
// #region people
import { ApolloProvider, useQuery } from "@apollo/client/react";
import { useState } from "react";
import { type Access, access, type Notes, readable, show } from "./answers.ts";
import type { createClients } from "./apollo.ts";
import { AccessDocument, PeopleDocument } from "./generated.ts";

type Clients = ReturnType<typeof createClients>;

/** The key makes React forget what it held for another purpose. */
export function PeoplePage({ clients, purpose }: { clients: Clients; purpose: string }) {
  return (
    <ApolloProvider key={purpose} client={clients.for(purpose)}>
      <People />
    </ApolloProvider>
  );
}

function People() {
  const { data, error } = useQuery(AccessDocument);
  if (data?.viewer) return <PeopleTable allowed={access(data)} />;
  return <p role="status">{error ? error.message : "Loading"}</p>;
}

function PeopleTable({ allowed }: { allowed: Access }) {
  const [notes, onNotes] = useState<Notes>({});
  const { data, error } = useQuery(PeopleDocument, {
    variables: { first: 20, ...readable(allowed) },
    context: { onNotes },
  });
  const rows = data?.contacts?.edges.map(({ node }) => node) ?? [];
  return (
    <>
      {error && <p role="alert">{error.message}</p>}
      <table>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">City</th>
            <th scope="col">Phone</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ id, givenName, city, phone }) => (
            <tr key={id}>
              <td>{givenName}</td>
              <td>{show("Contact.city", city, allowed, notes)}</td>
              <td>{show("Contact.phone", phone, allowed, notes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
// #endregion
