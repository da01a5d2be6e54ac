// What must hold whichever client asks; each test file runs it with its own.
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import test from "node:test";
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { access, advise, denied, type Notes, type Problem, readable, show } from "./answers.ts";
import {
  AccessDocument,
  CreateDocument,
  PeopleDocument,
  type PeopleQuery,
  type PeopleQueryVariables,
  PersonDocument,
  UpdateDocument,
  WithdrawDocument,
} from "./generated.ts";
import type { Session } from "./session.ts";

// Browsers have it; Node.js 18 has it elsewhere.
globalThis.crypto ??= webcrypto as Crypto;

export interface Told<Data> {
  data?: Data | null | undefined;
  errors: readonly Problem[];
  notes: Notes;
}

type Ask = <Data, Variables extends object>(
  purpose: string,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
) => Promise<Told<Data>>;

/** A client as the proofs use it. */
export interface Way {
  /** Asks the server, whatever the cache has. */
  query: Ask;
  mutate: Ask;
  everybody(purpose: string, variables: PeopleQueryVariables): Promise<Edges>;
}

type Edges = NonNullable<PeopleQuery["contacts"]>["edges"];

function session(role: string): Session {
  const [url, token] = [process.env["ZWECK_URL"], process.env[`ZWECK_TOKEN_${role}`]];
  assert.ok(url && token, `set ZWECK_URL and ZWECK_TOKEN_${role}; \`cargo demo\` prints both`);
  return { url, token };
}

export const marketing = session("MARKETING");
export const support = session("SUPPORT");
export const desk = session("PRIVACY_DESK");

/** Loses the first answer to a mutation: the server has done it, and the client does not know. */
export function losingOneAnswer(): { fetch: typeof fetch; sent: () => number } {
  let sent = 0;
  return {
    sent: () => sent,
    fetch: async (input, init) => {
      const answer = await fetch(input, init);
      if (String(init?.body).includes("mutation ") && ++sent === 1) {
        throw new TypeError("the connection broke");
      }
      return answer;
    },
  };
}

export function codes(errors: readonly Problem[]): (string | undefined)[] {
  return errors.map(({ extensions }) => extensions?.code);
}

/** Everything that any client must show. */
export function prove(name: string, way: (session: Session) => Way): void {
  const first = { first: 1 };
  const somebody = async (asked: Way, purpose: string) => {
    const { data } = await asked.query(purpose, PeopleDocument, first);
    const person = data?.contacts?.edges[0]?.node;
    assert.ok(person, `nobody for ${purpose}`);
    return person;
  };

  test(`${name}: a denied field is null, told once, and the rest is of use`, async () => {
    const { data, errors, notes } = await way(marketing).query("newsletter", PeopleDocument, {
      first: 20,
    });
    const people = data?.contacts?.edges.map(({ node }) => node) ?? [];
    assert.equal(people.length, 20);
    for (const person of people) {
      assert.match(person.email ?? "", /@example\./);
      assert.equal(person.phone, null);
      assert.match(person.city ?? "", /^.\*\*\*$/u);
    }
    assert.deepEqual(denied(errors), ["Contact.birthDate", "Contact.phone"]);
    assert.deepEqual(codes(errors), ["FORBIDDEN_FIELD", "FORBIDDEN_FIELD"]);
    assert.equal(errors[0]?.extensions?.purpose, "newsletter");
    assert.deepEqual(notes, { masked: ["Contact.city"] });
  });

  test(`${name}: a renewed token is used by the next request`, async () => {
    const renewed = { ...marketing, token: "zwk_expired" };
    const asked = way(renewed);
    const { errors } = await asked.query("newsletter", AccessDocument, {});
    assert.deepEqual(codes(errors), ["UNAUTHENTICATED"]);
    renewed.token = marketing.token;
    const { data } = await asked.query("newsletter", AccessDocument, {});
    assert.equal(data?.viewer.purpose?.code, "newsletter");
  });

  test(`${name}: who asks for what may be read gets no error`, async () => {
    const asked = way(marketing);
    const { data } = await asked.query("newsletter", AccessDocument, {});
    assert.ok(data);
    assert.equal(data.viewer.purpose?.code, "newsletter");
    assert.ok(data.viewer.permittedPurposes.some(({ code }) => code === "consent_management"));
    const may = access(data);
    const people = await asked.query("newsletter", PeopleDocument, { first: 20, ...readable(may) });
    assert.deepEqual(people.errors, []);
    const person = people.data?.contacts?.edges[0]?.node;
    assert.ok(person);
    assert.equal(show("Contact.email", person.email, may, people.notes), person.email);
    assert.equal(show("Contact.phone", person.phone, may, people.notes), "not for this purpose");
    assert.match(show("Contact.city", person.city, may, people.notes), /^.\*\*\* \(masked\)$/u);
  });

  test(`${name}: a value without consent is withheld, not denied`, async () => {
    const asked = way(marketing);
    const { data } = await asked.query("event_invitations", AccessDocument, {});
    assert.ok(data);
    const people = await asked.query("event_invitations", PeopleDocument, { first: 5, birthDate: false });
    assert.deepEqual(people.errors, []);
    assert.deepEqual(people.notes.withheld, [
      { coordinate: "Contact.phone", reason: "CONSENT_MISSING", count: 5 },
    ]);
    const person = people.data?.contacts?.edges[0]?.node;
    assert.equal(
      show("Contact.phone", person?.phone, access(data), people.notes),
      "none, or no consent",
    );
  });

  test(`${name}: another purpose has other people and other fields`, async () => {
    const { data, errors, notes } = await way(support).query("customer_care", PeopleDocument, {
      first: 50,
    });
    assert.deepEqual(errors, []);
    assert.deepEqual(notes, { masked: ["Contact.birthDate"] });
    const people = data?.contacts?.edges.map(({ node }) => node) ?? [];
    assert.ok(people.every(({ phone }) => phone?.startsWith("+")));
    assert.ok(people.some(({ birthDate }) => /^\d{4}$/.test(birthDate ?? "")));
    const newsletter = await way(marketing).query("newsletter", PeopleDocument, first);
    assert.notEqual(newsletter.data?.contacts?.totalCount, data?.contacts?.totalCount);
  });

  test(`${name}: pages reach everybody exactly once`, async () => {
    const asked = way(marketing);
    const { data } = await asked.query("newsletter", PeopleDocument, first);
    const total = data?.contacts?.totalCount ?? 0;
    const few = Math.ceil(total / 4);
    const readableOnly = { phone: false, birthDate: false };
    const people = await asked.everybody("newsletter", { first: few, ...readableOnly });
    assert.ok(total > 10);
    assert.equal(people.length, total);
    assert.equal(new Set(people.map(({ node }) => node.id)).size, total);
  });

  test(`${name}: a withdrawal holds from the very next read on`, async () => {
    const asked = way(marketing);
    const { id } = await somebody(asked, "newsletter");
    const read = async () => (await asked.query("newsletter", PersonDocument, { id })).data?.contact;
    assert.ok(await read());
    const input = { contactId: id, purpose: "newsletter" };
    const { data, errors } = await asked.mutate("consent_management", WithdrawDocument, { input });
    assert.deepEqual(errors, []);
    assert.equal(data?.withdrawConsent?.consents?.[0]?.status, "WITHDRAWN");
    assert.equal(await read(), null);
  });

  test(`${name}: a retry of a mutation is done once`, async () => {
    const lossy = losingOneAnswer();
    const asked = way({ ...support, fetch: lossy.fetch });
    const familyName = `Twice ${crypto.randomUUID()}`;
    const input = { familyName, source: { name: "phone call" }, ground: { purpose: "customer_care" } };
    const { data, errors } = await asked.mutate("customer_care", CreateDocument, { input });
    assert.deepEqual(errors, []);
    assert.equal(lossy.sent(), 2);
    const found = await asked.query("customer_care", PeopleDocument, { search: familyName, first: 10 });
    const people = found.data?.contacts?.edges.map(({ node }) => node.id);
    assert.deepEqual(people, [data?.createContact?.contact?.id]);
  });

  test(`${name}: a change of what somebody else changed is a conflict`, async () => {
    const asked = way(support);
    const { id } = await somebody(asked, "customer_care");
    const read = async () => (await asked.query("customer_care", PersonDocument, { id })).data?.contact;
    const person = await read();
    assert.ok(person?.version);
    const change = (jobTitle: string) => ({
      input: { contactId: id, expectedVersion: person.version, jobTitle },
    });
    const jobTitle = `Buyer ${person.version}`;
    const done = await asked.mutate("customer_care", UpdateDocument, change(jobTitle));
    assert.deepEqual(done.errors, []);
    assert.equal(done.data?.updateContact?.contact?.version, person.version + 1);
    const refused = await asked.mutate("customer_care", UpdateDocument, change("Seller"));
    assert.deepEqual(codes(refused.errors), ["CONFLICT"]);
    assert.match(advise(refused.errors[0]!), /Somebody else/);
    assert.equal((await read())?.jobTitle, jobTitle);
  });

  test(`${name}: a refusal as a whole comes with its code`, async () => {
    const stranger = await way({ ...support, token: "zwk_unknown" }).query("newsletter", PeopleDocument, first);
    assert.deepEqual(codes(stranger.errors), ["UNAUTHENTICATED"]);
    const misplaced = await way(support).query("newsletter", PeopleDocument, first);
    assert.deepEqual(codes(misplaced.errors), ["PURPOSE_NOT_PERMITTED"]);
    assert.equal(misplaced.data ?? null, null);
    const change = { input: { contactId: (await somebody(way(support), "customer_care")).id, notes: "x" } };
    const forbidden = await way(support).mutate("customer_care", UpdateDocument, change);
    assert.deepEqual(denied(forbidden.errors), ["Contact.notes"]);
    assert.equal(forbidden.errors[0]?.extensions?.inputPath, "input.notes");
    assert.equal(forbidden.data?.updateContact ?? null, null);
  });
}
