import type { Answer } from "./server";

/** What an answer leaves out, in words. */
export interface Omitted {
  text: string;
  coordinates: string[];
}

const coordinateOf = (problem: NonNullable<Answer["errors"]>[number]) => problem.extensions?.coordinate;

function distinct(coordinates: (string | undefined)[]): string[] {
  return [...new Set(coordinates.filter((coordinate) => coordinate !== undefined))];
}

/** Reads an answer for what the policy or a missing consent kept back. */
export function omitted(answer: Answer): Omitted[] {
  const denied = (code: string) =>
    distinct((answer.errors ?? []).filter((problem) => problem.extensions?.code === code).map(coordinateOf));
  const found: Omitted[] = [
    { text: "Not permitted for this role and purpose, hence null", coordinates: denied("FORBIDDEN_FIELD") },
    { text: "Not permitted as a whole for this role and purpose", coordinates: denied("FORBIDDEN") },
    { text: "Masked, only a hint is shown", coordinates: answer.extensions?.masked ?? [] },
    {
      text: "Withheld, since a consent for the channel is missing",
      coordinates: (answer.extensions?.withheld ?? []).map(
        ({ coordinate, count }) => `${coordinate} (${count} ${count === 1 ? "value" : "values"})`,
      ),
    },
  ];
  return found.filter(({ coordinates }) => coordinates.length > 0);
}
