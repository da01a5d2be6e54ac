import "./workers";
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
// Without its fonts: those of the system do.
import "graphiql/graphiql.css";
import "./style.css";
import { createRoot } from "react-dom/client";
import { Page } from "./page";

const place = document.getElementById("page");
if (place) {
  createRoot(place).render(<Page />);
}
