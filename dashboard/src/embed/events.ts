// Reads server-sent events from parts of a text, as they arrive.

export interface StreamEvent {
  name: string;
  id: string;
  data: string;
}

/** Takes parts of a stream, and passes its events on. A comment, such as a heartbeat, is no event. */
export function parser(heard: (event: StreamEvent) => void): (part: string) => void {
  let rest = "";
  return (part) => {
    rest += part;
    const blocks = rest.split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`^${name}: ?(.*)`, "m").exec(block)?.[1] ?? "";
      // The API writes JSON, so the data is one line.
      const name = field("event");
      if (name) heard({ name, id: field("id"), data: field("data") });
    }
  };
}
