import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { SCREENS, href, read } from "../src/lib/place";

const at = (address: string) => read(new URL(address, "http://host/"));

describe("the address", () => {
  it("gives back the screen and the parameters that were written", () => {
    const written = { subject: "order/1042 ä&=?#%", tenant: "a b" };
    const place = at(href("story", written));
    expect(place).toEqual({ screen: "story", params: written });
  });

  it("leaves out parameters without a value", () => {
    expect(href("jobs", { state: undefined, kind: "" })).toBe("jobs");
    expect(href("jobs", { state: "dead", kind: "" })).toBe("jobs?state=dead");
  });

  it("is relative, so that the page works below a prefix of a proxy", () => {
    const below = new URL(href("job", { id: "x" }), "https://host/upshot/outcomes?status=missed");
    expect(below.href).toBe("https://host/upshot/job?id=x");
    expect(read(below).screen).toBe("job");
    expect(new URL(href(""), "https://host/upshot/job?id=x").href).toBe("https://host/upshot/");
    expect(read(new URL("https://host/upshot/")).screen).toBe("");
  });

  it("says when there is no such screen", () => {
    expect(at("/nowhere").screen).toBeNull();
    expect(at("/toString").screen).toBeNull();
  });

  it("is served by the API for each screen and no other", () => {
    const source = readFileSync(new URL("../../api/src/dashboard.rs", import.meta.url), "utf8");
    const list = /const SCREENS[^=]*=\s*\[([^\]]*)\]/.exec(source)?.[1] ?? "";
    const served = [...list.matchAll(/"\/([a-z]*)"/g)].map((match) => match[1]);
    expect(served.sort()).toEqual([...SCREENS].sort());
  });
});
