import { expect, test } from "vitest";
import { MOST, clear, marked, toggle, toggleAll } from "../src/ui/marks";

const ids = (scope: string) => [...marked(scope).keys()];

test("rows are marked one by one, and belong to their list", () => {
  clear();
  toggle("a", "1", {});
  toggle("a", "2", {});
  toggle("a", "1", {});
  expect(ids("a")).toEqual(["2"]);
  expect(ids("b")).toEqual([]);
  toggle("b", "9", {});
  expect([ids("a"), ids("b")]).toEqual([[], ["9"]]);
});

test("all rows of a page are marked together, and only those are taken away again", () => {
  clear();
  toggle("a", "0", {});
  const page = [["1", {}], ["2", {}]] as const;
  toggleAll("a", page);
  expect(ids("a")).toEqual(["0", "1", "2"]);
  toggleAll("a", page);
  expect(ids("a")).toEqual(["0"]);
});

test("no more rows are marked than one operation takes", () => {
  clear();
  toggleAll("a", Array.from({ length: MOST + 5 }, (_, n) => [String(n), n] as const));
  toggle("a", "more", 0);
  expect(ids("a").length).toBe(MOST);
});
