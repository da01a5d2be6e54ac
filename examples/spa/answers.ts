// What an answer says beside its data: the same for every client.
// #region access
import type { AccessQuery, Decision } from "./generated.ts";

export type Access = Map<string, Decision>;

export function access(data: AccessQuery): Access {
  return new Map(data.viewer.fields.map(({ coordinate, decision }) => [coordinate, decision]));
}

/** The fields worth asking for: variables of `People`. */
export function readable(access: Access) {
  const reads = (field: string) => access.get(field) !== "DENY";
  return { phone: reads("Contact.phone"), birthDate: reads("Contact.birthDate") };
}
// #endregion

// #region errors
export interface Problem {
  message: string;
  extensions?: {
    code?: string;
    coordinate?: string;
    inputPath?: string;
    outcome?: string;
    purpose?: string;
    requestId?: string;
  };
}

/** The fields that came as null because they may not be read, e.g. `Contact.phone`. */
export function denied(problems: readonly Problem[] = []): string[] {
  return problems
    .filter(({ extensions }) => extensions?.code === "FORBIDDEN_FIELD")
    .map(({ extensions }) => extensions?.coordinate ?? "")
    .sort();
}
// #endregion

// #region notes
export interface Notes {
  /** Fields of which only masked values came. */
  masked?: string[];
  /** How many values a missing consent kept back, by field. */
  withheld?: { coordinate: string; reason: string; count: number }[];
}
// #endregion

// #region show
/** What a cell of a table shows. */
export function show(
  field: string,
  value: string | null | undefined,
  access: Access,
  notes: Notes,
): string {
  switch (access.get(field)) {
    case "ALLOW":
      if (value) return value;
      return notes.withheld?.some(({ coordinate }) => coordinate === field)
        ? "none, or no consent"
        : "none";
    case "MASK":
      return value ? `${value} (masked)` : "none";
    default:
      return "not for this purpose";
  }
}
// #endregion

// #region advise
/** What a user is told when something fails. */
export function advise({ message, extensions }: Problem): string {
  switch (extensions?.code) {
    case "UNAUTHENTICATED":
      return "Please sign in again.";
    case "PURPOSE_REQUIRED":
    case "PURPOSE_NOT_PERMITTED":
      return "Please choose what you work for.";
    case "FORBIDDEN":
    case "FORBIDDEN_FIELD":
      return "This purpose does not allow it.";
    case "NOT_FOUND":
      return "There is no such record for this purpose.";
    case "CONFLICT":
      return "Somebody else changed this meanwhile. Please look at it again.";
    case "BAD_USER_INPUT":
      return extensions.inputPath ? `${extensions.inputPath}: ${message}` : message;
    case "RATE_LIMITED":
    case "AUDIT_UNAVAILABLE":
      return extensions.outcome === "DONE"
        ? "This was done; its record follows."
        : "Nothing was changed. Please try again later.";
    default:
      return `Something went wrong (${extensions?.requestId ?? "no answer"}).`;
  }
}
// #endregion
