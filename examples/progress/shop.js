// A shop puts the three values below into the page when it renders it. This example reads them from
// its own address, `?api=…&job=…#upl_…`, so that it needs no server.
const given = new URLSearchParams(location.search);
const api = given.get("api") ?? "http://127.0.0.1:8080";
const invoice = document.getElementById("invoice");

const { words } = await import(`${api}/progress.js`);
words.succeeded = "Your invoice is ready.";

invoice.addEventListener("done", ({ detail }) => {
  document.getElementById("after").hidden = detail.state !== "succeeded";
});
invoice.credential = location.hash.slice(1);
invoice.setAttribute("base", api);
invoice.setAttribute("job", given.get("job") ?? "");
