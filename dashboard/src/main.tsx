import { render } from "preact";
import { App } from "./app";
import { listen } from "./lib/keys";
import { follow } from "./lib/place";
import { begin, followLinks } from "./lib/session";
import { tick } from "./lib/time";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/parts.css";
import "./styles/screens.css";

const root = document.getElementById("app");
if (root) {
  // The session comes first: it takes a credential out of the address.
  void begin();
  followLinks();
  follow();
  listen();
  tick();
  render(<App />, root);
}
