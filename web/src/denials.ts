import {
  FieldsOnCorrectTypeRule,
  getLocation,
  Kind,
  KnownArgumentNamesRule,
  KnownTypeNamesRule,
  parse,
  print,
  validate,
  ValuesOfCorrectTypeRule,
  visit,
  type ASTNode,
  type DocumentNode,
  type GraphQLSchema,
  type SourceLocation,
} from "graphql";
import type { Answer } from "./server";

// The page knows the schema as far as the caller may use it; the server validates by the whole. What the editor takes for
// unknown, and the server does not, is there and denied.

/** Rules that a name breaks which the schema does not have. */
const RULES = [FieldsOnCorrectTypeRule, KnownArgumentNamesRule, KnownTypeNamesRule, ValuesOfCorrectTypeRule];
/** What has such a name; of the last rule, this leaves out values that are merely of another type. */
const NAMED: string[] = [Kind.FIELD, Kind.ARGUMENT, Kind.NAMED_TYPE, Kind.OBJECT_FIELD, Kind.ENUM];
/** The server tells of so many errors at once, and leaves out the others. */
const MAX_ERRORS = 10;
const CHECK = "Check";

/** A place that the caller's schema does not have. */
export interface Unknown {
  node: ASTNode;
  /** Whether it is a field that is read, and not something to be called or given. */
  read: boolean;
}

/** What `document` names and `schema` does not have. */
export function unknown(schema: GraphQLSchema, document: DocumentNode): Unknown[] {
  const roots = new Set<ASTNode>();
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
    for (const selection of definition.selectionSet.selections) roots.add(selection);
  }
  return validate(schema, document, RULES)
    .flatMap(({ nodes }) => nodes?.slice(0, 1) ?? [])
    .filter(({ kind }) => NAMED.includes(kind))
    .map((node) => ({ node, read: node.kind === Kind.FIELD && !roots.has(node) }));
}

/** A document that has the server validate another one, and run nothing of it. */
export interface Check {
  query: string;
  operationName: string;
}

/** Asks whether `document` fits the whole schema. Texts in it are left out: they may name people, and nobody has sent them yet. */
export function check(document: DocumentNode): Check {
  let number = 0;
  const bare = visit(document, {
    OperationDefinition: (node) => ({
      ...node,
      name: { kind: Kind.NAME, value: `Operation${(number += 1)}` } as const,
    }),
    StringValue: (node) => ({ ...node, value: "", block: false }),
  });
  // A document is validated whole, of its operations only the one named is executed.
  return { query: `${print(bare)}\n\nquery ${CHECK} {\n  __typename\n}`, operationName: CHECK };
}

/** Of what `schema` does not have in `document` that which the whole schema has, by the answer to the check. */
export function denied(schema: GraphQLSchema, document: DocumentNode, asked: Check, answer: Answer): Unknown[] {
  const errors = answer.errors ?? [];
  const places = errors.flatMap(({ locations }) => locations?.slice(0, 1) ?? []);
  // Without its place an error may be about anything.
  if (places.length < errors.length || errors.length >= MAX_ERRORS) return [];
  const checked = parse(asked.query);
  const isAt = (node: ASTNode) => places.some((place) => isSame(place, locate(node)));
  // Of a value the server tells the argument or the variable that holds it.
  const faulty: ASTNode[] = [];
  const note = (node: ASTNode) => void (isAt(node) && faulty.push(node));
  visit(checked, { Argument: note, VariableDefinition: note });
  const named = unknown(schema, checked);
  return unknown(schema, document).filter((_, index) => {
    const node = named[index]?.node;
    return node !== undefined && !isAt(node) && !faulty.some((whole) => holds(whole, node));
  });
}

function locate({ loc }: ASTNode): SourceLocation | undefined {
  return loc && getLocation(loc.source, loc.start);
}

function isSame(one: SourceLocation, other: SourceLocation | undefined): boolean {
  return one.line === other?.line && one.column === other.column;
}

function holds({ loc: whole }: ASTNode, { loc: part }: ASTNode): boolean {
  return whole !== undefined && part !== undefined && whole.start <= part.start && part.end <= whole.end;
}
