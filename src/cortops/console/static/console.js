// Keeps a page of the console up to date. Without it the page is whole, and renewed by itself every ten seconds.
// Texts are set as text, never as markup; addresses are taken only when they are paths of this site.
"use strict";

(() => {
  const page = document.body;
  const RETRY_MS = 2000;
  const WATCH_MS = 500;
  let everyS = Number(page.dataset.every);
  let moment = page.dataset.moment;
  let freshAt = performance.now() - Number(page.dataset.age) * 1000;
  let heard = page.dataset.at !== "0.0";
  let nowAt = Number(page.dataset.now);

  const all = (selector, root = document) => root.querySelectorAll(selector);
  const named = (attribute, value) => all(`[${attribute}="${CSS.escape(value)}"]`);
  const put = (node, text) => {
    if (node && node.textContent !== text) node.textContent = text;
  };

  // As wording.age does on the server.
  function age(seconds) {
    const whole = Math.floor(Math.max(seconds, 0));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min`;
    return whole < 172800 ? `${Math.floor(whole / 3600)} h` : `${Math.floor(whole / 86400)} d`;
  }

  function stale(why) {
    if ("stale" in page.dataset || !heard) return;
    put(document.getElementById("why"), why);
    document.getElementById("stale").hidden = false;
    page.dataset.stale = "";
  }

  function fresh(event) {
    everyS = event.every_s;
    for (const node of all("time.at")) put(node, event.at_text);
    if (!event.at) return;
    heard = true;
    freshAt = performance.now() - Math.max(event.now - event.at, 0) * 1000;
    if (isLate()) return;
    delete page.dataset.stale;
    document.getElementById("stale").hidden = true;
  }

  const isLate = () => performance.now() - freshAt > Number(page.dataset.rounds) * everyS * 1000;

  function turn(node, state) {
    if (node.dataset.state === undefined || node.dataset.state === state) return;
    node.dataset.state = state;
    node.classList.remove("turned");
    requestAnimationFrame(() => node.classList.add("turned"));
  }

  function showEntity(name, entity) {
    for (const node of named("data-entity", name)) {
      turn(node, entity.state);
      put(node.querySelector(".mark"), entity.mark);
      put(node.querySelector(".word"), entity.state);
      put(node.querySelector(".reason"), entity.reason);
      put(node.querySelector(".told"), `${name} is ${entity.state}: ${entity.reason}`);
      put(node.querySelector(".when"), entity.since_text);
      const since = node.querySelector(".age");
      if (since) since.dataset.since = entity.since || "";
    }
  }

  function showBox(name, box) {
    for (const node of named("data-box", name)) {
      turn(node, box.state);
      put(node.querySelector(":scope > .mark"), box.mark);
      put(node.querySelector(":scope > .summary"), box.summary);
    }
  }

  function showRows(name, rows) {
    const body = document.querySelector(`[data-rows="${name}"]`);
    const row = document.querySelector(`template[data-row="${name}"]`);
    if (!body || !row) return;
    const focused = body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    body.replaceChildren(...rows.map((values) => filled(row.content.cloneNode(true), values)));
    for (const link of focused ? all("a", body) : []) if (link.getAttribute("href") === focused) link.focus();
  }

  function filled(row, values) {
    for (const node of all("[data-field]", row)) node.textContent = values[node.dataset.field] ?? "";
    for (const node of all("[data-field-state]", row)) node.dataset.state = values[node.dataset.fieldState];
    for (const node of all("[data-field-since]", row)) node.dataset.since = values[node.dataset.fieldSince] || "";
    for (const node of all("[data-href]", row)) {
      const href = values[node.dataset.href];
      if (href.startsWith("/") && !href.startsWith("//")) node.setAttribute("href", href);
    }
    return row;
  }

  function hide(id, hidden) {
    const node = document.getElementById(id);
    if (node) node.hidden = hidden;
  }

  // Ages are counted from the server's clock, so that a browser with a wrong one shows them right; while the page is stale they stand still.
  function showAges() {
    for (const node of all("[data-since]")) put(node, node.dataset.since ? age(nowAt - Number(node.dataset.since)) : "");
  }

  function onPicture(event) {
    if (event.layout !== page.dataset.layout) {
      location.reload();
      return;
    }
    for (const [name, entity] of Object.entries(event.entities || {})) showEntity(name, entity);
    for (const [name, box] of Object.entries(event.boxes || {})) showBox(name, box);
    for (const [name, text] of Object.entries(event.texts || {})) for (const node of named("data-text", name)) put(node, text);
    if (event.worst) {
      showRows("worst", event.worst);
      hide("worst-table", event.worst.length === 0);
      hide("all-well", event.worst.length > 0);
    }
  }

  function onTasks(event) {
    showRows("tasks", event.tasks);
    put(document.getElementById("tasks-error"), event.error);
    hide("tasks-error", !event.error);
    hide("tasks-table", event.tasks.length === 0);
    hide("no-tasks", event.tasks.length > 0 || Boolean(event.error));
  }

  function listen() {
    const source = new EventSource(`/events?after=${encodeURIComponent(moment)}`);
    const on = (name, then) =>
      source.addEventListener(name, (message) => {
        const event = JSON.parse(message.data);
        if (event.now) nowAt = event.now;
        then(event);
        showAges();
        if (message.lastEventId) moment = message.lastEventId;
      });
    on("picture", onPicture);
    on("tasks", onTasks);
    on("beat", fresh);
    source.onerror = () => {
      source.close();
      stale("the console does not answer");
      setTimeout(listen, RETRY_MS);
    };
  }

  setInterval(() => {
    if (isLate()) stale("no round of questions has ended since");
  }, WATCH_MS);
  listen();
})();
