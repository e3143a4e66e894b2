// A wide table or program scrolls on a phone: by the keyboard too.
document$.subscribe(() => {
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) {
    table.role = "group";
    table.ariaLabel = "Table";
  }
  for (const wide of document.querySelectorAll(".md-typeset__scrollwrap, pre > code")) wide.tabIndex = 0;
});
