// Loads the page anew every ten seconds, unless somebody is at it or switched that off.
"use strict";
const label = document.getElementById("refresh-label");
if (label) {
  const box = document.getElementById("refresh");
  label.hidden = false;
  box.checked = sessionStorage.getItem("refresh") !== "off";
  box.addEventListener("change", () => sessionStorage.setItem("refresh", box.checked ? "on" : "off"));
  // What was done is said once.
  const address = new URL(location.href);
  if (address.searchParams.has("done")) {
    address.searchParams.delete("done");
    history.replaceState(null, "", address);
  }
  setInterval(() => {
    const idle = document.activeElement === document.body && getSelection().isCollapsed;
    if (box.checked && idle && !document.hidden && !document.querySelector("details[open]")) location.reload();
  }, 10000);
}
