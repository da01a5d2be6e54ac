import { useId, useRef, type ChangeEvent, type KeyboardEvent } from "react";
import type { AccessControl } from "./access";

/** The bar above GraphiQL: whose token, and for which purpose. */
export function Bar({ access, present, choose }: AccessControl) {
  const [tokenId, purposeId, statusId] = [useId(), useId(), useId()];
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
      </div>
      <div className="bar-part">
        <label htmlFor={purposeId}>Purpose</label>
        <select
          id={purposeId}
          disabled={access.state !== "accepted"}
          value={(access.state === "accepted" && access.purpose) || ""}
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
      </div>
      <p id={statusId} className={wrong ? "bar-status wrong" : "bar-status"} role={wrong ? "alert" : "status"}>
        {status(access)}
      </p>
    </header>
  );
}

function status(access: AccessControl["access"]): string {
  switch (access.state) {
    case "none":
      return "Enter an access token. It is kept in this page only, and forgotten with it.";
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
