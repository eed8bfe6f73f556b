// Makes pages live: an event from the service lets the page fetch its own fragment again and
// patch what has changed. Everything works without this script; only then one has to reload.
"use strict";

(() => {
  const DEBOUNCE_MS = 150;
  const page = document.body.dataset;
  // A page has one live part, or several with an id each, by which the fragment names them.
  const parts = [...document.querySelectorAll("[data-live]")];
  const link = document.querySelector("[data-link]");

  // ---- patching: keeps focus, scroll, selection and open details ----------------------------
  const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE && node.id) || null;
  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName
    && keyOf(a) === keyOf(b);

  function patchAttributes(old, fresh) {
    // People open and close details; only what enters another state shows itself anew.
    const theirs = old.nodeName === "DETAILS" && old.dataset.status === fresh.dataset.status;
    for (const {name} of [...old.attributes]) {
      const kept = (name === "open" && theirs) || name === "data-shown";
      if (!fresh.hasAttribute(name) && !kept) old.removeAttribute(name);
    }
    for (const {name, value} of fresh.attributes) {
      const kept = (name === "open" && theirs) || (name === "hidden" && old.dataset.shown);
      if (!kept && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  }

  function patch(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    patchAttributes(old, fresh);
    patchChildren(old, fresh);
  }

  function patchChildren(old, fresh) {
    const keyed = new Map();
    for (const child of old.children) if (child.id) keyed.set(child.id, child);
    let at = old.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      if (at && at.nodeType === Node.TEXT_NODE && wanted.nodeType !== Node.TEXT_NODE) {
        const blank = at;       // the page and its fragment differ in white space around tags
        at = at.nextSibling;
        blank.remove();
      }
      const known = keyed.get(keyOf(wanted));
      if (known && alike(known, wanted)) {
        if (known === at) at = at.nextSibling; else old.insertBefore(known, at);
        keyed.delete(known.id);
        patch(known, wanted);
      } else if (at && !keyOf(at) && alike(at, wanted)) {
        const next = at.nextSibling;
        patch(at, wanted);
        at = next;
      } else {
        old.insertBefore(wanted, at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  // ---- what a screen reader hears: only sentences that have changed -------------------------
  const sentences = () => new Map(parts.flatMap((part) => [...part.querySelectorAll("[data-says]")])
    .map((item, index) => [item.id || index, item.dataset.says]));

  function announce(before) {
    const said = [...sentences()].filter(([key, text]) => before.get(key) !== text)
      .map(([, text]) => text);
    if (said.length) {
      document.querySelector("[data-announce]").textContent = said.slice(0, 3).join(". ");
    }
  }

  // ---- fetching: at most one at a time, once more when something came meanwhile -------------
  let timer = null;
  let busy = false;
  let again = false;

  async function refresh() {
    timer = null;
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(page.fragment, {headers: {Accept: "text/html"}});
      if (answer.status === 404) { location.assign("/"); return; }
      if (answer.status === 401) { location.reload(); return; }      // the way to the login
      if (!answer.ok) return;
      const fresh = document.createElement("template");
      fresh.innerHTML = await answer.text();
      const before = sentences();
      for (const part of parts) {
        const wanted = part.id ? fresh.content.getElementById(part.id) : fresh.content;
        if (wanted) patchChildren(part, wanted);
      }
      announce(before);
      showCopying();
    } catch (error) {
      console.warn("could not refresh", error);
    } finally {
      busy = false;
      if (again) { again = false; soon(); }
    }
  }

  function soon() {
    if (timer === null) timer = setTimeout(refresh, DEBOUNCE_MS);
  }

  // ---- the stream: closed while nobody looks, since browsers allow few connections ----------
  let source = null;

  function showLink(on) {
    const text = link.querySelector("[data-link-text]");
    link.hidden = false;
    link.classList.toggle("on", on);
    text.textContent = on ? text.dataset.on : text.dataset.off;
  }

  function connect() {
    if (source !== null || document.hidden) return;
    source = new EventSource(page.stream);
    // What happened between the page and the stream is fetched once.
    source.addEventListener("open", () => { showLink(true); soon(); });
    source.addEventListener("event", soon);
    source.addEventListener("summary", soon);
    source.addEventListener("gone", () => { disconnect(); location.assign("/"); });
    source.addEventListener("error", () => {
      showLink(false);
      if (source.readyState === EventSource.CLOSED) {     // refused: the browser gives up, we not
        disconnect();
        soon();                                             // perhaps one has to log in again
        setTimeout(connect, 5000);
      }
    });
  }

  function disconnect() {
    if (source !== null) source.close();
    source = null;
  }

  // ---- moments grow older without asking the service ----------------------------------------
  const words = document.documentElement.lang.startsWith("en") ? null
    : new Intl.RelativeTimeFormat(document.documentElement.lang, {numeric: "auto"});
  const SIZES = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];

  function relative(seconds) {
    const [size, unit] = SIZES.find(([one]) => Math.abs(seconds) >= one) || SIZES[3];
    return words.format(Math.trunc(seconds / size), unit);
  }

  function ago(seconds) {
    if (words) return relative(-seconds);
    for (const [size, unit] of [[86400, "day"], [3600, "h"], [60, "min"], [5, "s"]]) {
      if (seconds >= size) {
        const count = Math.floor(seconds / (size === 5 ? 1 : size));
        return `${count} ${unit}${unit === "day" && count > 1 ? "s" : ""} ago`;
      }
    }
    return "just now";
  }

  function ahead(seconds) {
    if (words) return relative(seconds);
    for (const [size, unit] of [[86400, "day"], [3600, "h"], [60, "min"], [1, "s"]]) {
      if (seconds >= size) {
        const count = Math.floor(seconds / size);
        return `in ${count} ${unit}${unit === "day" && count > 1 ? "s" : ""}`;
      }
    }
    return "now";
  }

  function age() {
    for (const time of document.querySelectorAll("time[data-at]")) {
      const text = ago(Date.now() / 1000 - Number(time.dataset.at));
      if (time.textContent !== text) time.textContent = text;
    }
    for (const time of document.querySelectorAll("time[data-until]")) {
      const text = ahead(Number(time.dataset.until) - Date.now() / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // ---- small helps --------------------------------------------------------------------------
  function showCopying() {
    if (!navigator.clipboard) return;
    for (const button of document.querySelectorAll("[data-copy][hidden]")) {
      button.dataset.shown = "yes";
      button.hidden = false;
    }
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    document.querySelector("[data-announce]").textContent = "copied";
    button.classList.add("done");
  });

  const dialog = document.querySelector("[data-dialog]");
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const button = event.submitter;
    const question = button?.dataset.confirm ?? form.dataset.confirm;
    if (!question || form.elements.sure.value) return;
    const shrink = form.dataset.shrink;
    if (shrink && !(Number(form.elements.count.value) < Number(shrink))) return;
    const {confirmField, confirmValue} = form.dataset;
    if (confirmField && form.elements[confirmField].value !== confirmValue) return;
    event.preventDefault();
    dialog.querySelector("[data-dialog-text]").textContent = question;
    dialog.addEventListener("close", () => {
      // A live update may have taken the button away while the question stood.
      if (dialog.returnValue !== "yes" || button?.isConnected === false) return;
      form.elements.sure.value = "yes";       // the service asks by a page otherwise
      form.requestSubmit(button);
    }, {once: true});
    dialog.returnValue = "no";
    dialog.showModal();
  });

  // ---- a text is checked while one types ------------------------------------------------------
  const CHECK_MS = 500;
  for (const form of document.querySelectorAll("form[data-check]")) {
    const result = form.querySelector("[data-check-result]");
    const text = form.querySelector("textarea");
    let waiting = null;
    let asked = 0;
    const check = async () => {
      const mine = ++asked;
      const body = new URLSearchParams(new FormData(form));
      const answer = await fetch(form.dataset.check, {method: "POST", body});
      if (!answer.ok || mine !== asked) return;     // an older answer than the text
      const fresh = document.createElement("template");
      fresh.innerHTML = await answer.text();
      patchChildren(result, fresh.content);
      const wrong = result.querySelector("[role=alert]") !== null;
      if (wrong) text.setAttribute("aria-invalid", "true");
      else text.removeAttribute("aria-invalid");
    };
    text.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => check().catch((error) => console.warn(error)), CHECK_MS);
    });
  }

  // A page that comes back from the browser's memory asks again.
  window.addEventListener("pageshow", () => {
    for (const field of document.querySelectorAll("[data-sure]")) field.value = "";
  });

  showCopying();
  setInterval(age, 10000);
  // What no event tells of, such as lines of a log, is looked at again and again while one looks.
  if (page.every && parts.length) {
    setInterval(() => { if (!document.hidden) soon(); }, 1000 * Number(page.every));
  }
  if (page.stream && parts.length && "EventSource" in window) {
    connect();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { disconnect(); } else { connect(); }
    });
    window.addEventListener("pagehide", disconnect);
    window.addEventListener("pageshow", connect);
  }
})();
