import { isEnumType, type GraphQLSchema } from "graphql";
import { useId, useRef, type ChangeEvent, type KeyboardEvent } from "react";
import type { AccessControl } from "./access";
import type { Viewer } from "./server";

interface Props extends AccessControl {
  /** As far as the caller may use it. */
  schema: GraphQLSchema | undefined;
}

/** The bar above GraphiQL: whose token, and for which purpose. */
export function Bar({ access, present, choose, forget, schema }: Props) {
  const [tokenId, purposeId, statusId, basisId] = [useId(), useId(), useId(), useId()];
  const field = useRef<HTMLInputElement>(null);
  const last = useRef("");

  // The field is not controlled: React would write its value into the markup.
  const take = () => {
    const token = field.current?.value.trim() ?? "";
    if (token !== last.current) {
      last.current = token;
      present(token);
    }
  };
  const takeAgain = () => {
    last.current = "";
    take();
  };
  const clear = () => {
    last.current = "";
    if (field.current) field.current.value = "";
    field.current?.focus();
    forget();
  };
  const onChange = (event: ChangeEvent<HTMLInputElement>) => {
    // A token is pasted as a rule, and then it is whole; while it is typed it is not.
    const { inputType } = event.nativeEvent as InputEvent;
    if (inputType === "insertFromPaste" || event.currentTarget.value === "") take();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter") takeAgain();
  };

  const purposes = access.state === "accepted" ? access.viewer.permittedPurposes : [];
  const wrong = access.state === "refused" || access.state === "failed";
  return (
    <header className="bar">
      <h1 className="bar-name">
        Zweck <span>GraphiQL</span>
      </h1>
      <div className="bar-part">
        <label htmlFor={tokenId}>Access token</label>
        <input
          id={tokenId}
          ref={field}
          type="password"
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          placeholder="zwk_..."
          aria-invalid={access.state === "refused"}
          aria-describedby={statusId}
          onChange={onChange}
          onBlur={take}
          onKeyDown={onKeyDown}
        />
        <button type="button" onClick={takeAgain}>
          Apply
        </button>
        {access.state !== "none" && (
          <button type="button" onClick={clear}>
            Forget token
          </button>
        )}
        <p id={statusId} className={wrong ? "bar-note wrong" : "bar-note"} role={wrong ? "alert" : "status"}>
          {status(access)} {access.state === "accepted" && tell(access.viewer)}
        </p>
      </div>
      <div className="bar-part">
        <label htmlFor={purposeId}>Purpose</label>
        <select
          id={purposeId}
          disabled={access.state !== "accepted"}
          value={(access.state === "accepted" && access.purpose) || ""}
          aria-describedby={basisId}
          onChange={(event) => choose(event.currentTarget.value)}
        >
          {purposes.length !== 1 && (
            <option value="" disabled>
              {access.state === "accepted" ? "Choose ..." : "-"}
            </option>
          )}
          {purposes.map(({ code, title }) => (
            <option key={code} value={code}>
              {title ? `${title} (${code})` : code}
            </option>
          ))}
        </select>
        <p id={basisId} className="bar-note">
          {basis(access, schema)}
        </p>
      </div>
      <a className="licences" href="/graphiql/licences.md" target="_blank" rel="noreferrer">
        Licences
      </a>
    </header>
  );
}

function status(access: AccessControl["access"]): string {
  switch (access.state) {
    case "none":
      return "Enter an access token. The page keeps it in memory only.";
    case "asking":
      return "Asking what this token is for ...";
    case "refused":
    case "failed":
      return access.why;
    case "accepted":
      if (access.viewer.permittedPurposes.length === 0) return "This token permits no purpose.";
      if (access.purpose === undefined) return "Choose the purpose that you act for.";
      return `Acting as ${access.viewer.roles.join(", ")}.`;
  }
}

const INSTANT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** How long the credential holds, to everybody who has one. */
function tell({ tokenName, expiresAt }: Viewer): string {
  const whose = tokenName === null ? "Signed in by an issuer" : `Token: ${tokenName}`;
  return `${whose}, expires ${INSTANT.format(new Date(expiresAt))}.`;
}

/** On which basis data is processed for the purpose, in the words of the schema. */
function basis(access: AccessControl["access"], schema: GraphQLSchema | undefined): string {
  if (access.state !== "accepted") return "";
  const code = access.viewer.permittedPurposes.find(({ code }) => code === access.purpose)?.legalBasis;
  const type = schema?.getType("LegalBasis");
  const described = code && isEnumType(type) ? type.getValue(code)?.description : undefined;
  return described ? `Legal basis (Art. 6(1)): ${described}` : "";
}
