// Runs before the first paint, so that no page flashes in the other theme.
try {
  var theme = localStorage.getItem("upshot.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch (e) {
  // Without storage the system decides.
}
