"use strict";
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const root = document.documentElement;

  // Theme: automatic, light, dark; kept where the browser allows it.
  const themes = ["auto", "light", "dark"];
  const toggle = document.getElementById("theme");
  const remember = (value) => { try { localStorage.setItem("stowplan-theme", value); } catch { /* file pages may refuse */ } };
  const recall = () => { try { return localStorage.getItem("stowplan-theme"); } catch { return null; } };
  const paint = (theme) => {
    if (theme === "auto") root.removeAttribute("data-theme"); else root.dataset.theme = theme;
    toggle.dataset.theme = theme;
    toggle.querySelector(".theme-word").textContent = theme;
    toggle.setAttribute("aria-label", `Colour theme: ${theme === "auto" ? "automatic" : theme}`);
  };
  paint(themes.includes(recall()) ? recall() : "auto");
  toggle.addEventListener("click", () => {
    const next = themes[(themes.indexOf(toggle.dataset.theme) + 1) % themes.length];
    paint(next);
    remember(next);
  });

  // Navigation: a menu on small screens, and a mark at the section being read.
  const nav = document.getElementById("nav");
  const menu = document.getElementById("menu");
  const openMenu = (open) => { nav.classList.toggle("open", open); menu.setAttribute("aria-expanded", String(open)); };
  menu.addEventListener("click", () => openMenu(!nav.classList.contains("open")));
  nav.addEventListener("click", (event) => { if (event.target.closest("a")) openMenu(false); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") openMenu(false); });
  const links = all("a", nav);
  const targets = links.map((link) => document.getElementById(link.hash.slice(1)));
  let waiting = false;
  const follow = () => {
    waiting = false;
    let here = 0;
    targets.forEach((target, index) => { if (target.getBoundingClientRect().top < 130) here = index; });
    if (window.innerHeight + window.scrollY >= document.body.scrollHeight - 4) here = links.length - 1;
    links.forEach((link, index) => {
      link.classList.toggle("here", index === here);
      if (index === here) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    });
  };
  addEventListener("scroll", () => { if (!waiting) { waiting = true; requestAnimationFrame(follow); } }, { passive: true });
  follow();

  // Long lists: the first rows, the rest on request.
  const fold = (list, items, word) => {
    const keep = Number(list.dataset.keep);
    if (items().length <= keep + 3) return () => {};
    const more = document.createElement("button");
    more.type = "button";
    more.className = "more";
    let open = false;
    const apply = () => {
      const shown = items().filter((item) => !item.classList.contains("filtered"));
      items().forEach((item) => item.classList.remove("folded"));
      if (!open) shown.slice(keep).forEach((item) => item.classList.add("folded"));
      more.textContent = open ? `Show the first ${keep} only` : `Show all ${shown.length} ${word}`;
      more.hidden = shown.length <= keep;
    };
    more.addEventListener("click", () => { open = !open; apply(); });
    (list.closest(".scroll") || list).after(more);
    apply();
    return apply;
  };
  all("ol.events").forEach((list) => fold(list, () => Array.from(list.children), "events"));

  // Tables: sorting by a click on the heading, and filtering.
  all("table.data[data-keep]").forEach((table) => {
    const body = table.tBodies[0];
    const original = Array.from(body.rows);
    const refold = fold(table, () => Array.from(body.rows), "rows");
    const heads = all("thead th", table);
    const key = (row, column) => {
      const cell = row.cells[column];
      if (cell.classList.contains("none")) return null;
      return cell.dataset.sort === undefined ? cell.textContent.trim().toLowerCase() : Number(cell.dataset.sort);
    };
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const numeric = head.classList.contains("num");
        const order = numeric ? ["descending", "ascending", null] : ["ascending", "descending", null];
        const now = head.getAttribute("aria-sort");
        const next = order[(order.indexOf(now) + 1) % 3];
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        let rows = original.slice();
        if (next) {
          head.setAttribute("aria-sort", next);
          const sign = next === "ascending" ? 1 : -1;
          const values = new Map(rows.map((row) => [row, key(row, column)]));
          rows.sort((a, b) => {
            const [x, y] = [values.get(a), values.get(b)];
            if (x === null || y === null) return (x === null) - (y === null);
            return sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true }));
          });
        }
        body.append(...rows);
        refold();
      });
    });
    const input = table.closest(".table-block")?.querySelector(".filter input");
    input?.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      original.forEach((row) => {
        const text = row.textContent.toLowerCase();
        row.classList.toggle("filtered", !words.every((word) => text.includes(word)));
      });
      refold();
    });
  });

  // Findings: filter by severity, open the one an address points at, copy a patch.
  all(".severities button").forEach((button) => button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(shown));
    all(".finding").forEach((item) => { if (item.dataset.severity === button.dataset.level) item.hidden = !shown; });
  }));
  const reveal = () => {
    const target = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    if (target && target.matches("details")) target.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();
  if (navigator.clipboard) all(".copy").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent + "\n"); button.textContent = "Copied"; }
      catch { button.textContent = "Select and copy"; }
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
  });
  let closed = [];
  addEventListener("beforeprint", () => { closed = all("details:not([open])"); closed.forEach((item) => { item.open = true; }); });
  addEventListener("afterprint", () => closed.forEach((item) => { item.open = false; }));

  // Plots: values under the pointer. Units are printed as in the rest of the page.
  const digits = (value, count = 3) => value === 0 ? "0" : value.toLocaleString("en", { maximumSignificantDigits: count });
  const time = (s) => {
    if (s < 0) return `-${time(-s)}`;
    if (s === 0) return "0 s";
    if (s < 0.9995) return `${digits(s * 1000)} ms`;
    if (s < 59.95) return `${digits(s)} s`;
    const whole = Math.round(s);
    for (const [size, unit, small, smaller] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
      if (whole >= size) {
        const rest = Math.floor((whole % size) / small);
        return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${smaller}` : ""}`;
      }
    }
    return "";
  };
  const show = (value, unit) => {
    if (value === null || value === undefined) return "–";
    if (unit === "ratio" || unit === "share") return `${(value * 100).toFixed(value > 0.99 && value < 1 ? 3 : 1).replace(/\.0+$/, "")}%`;
    if (unit === "s" || unit === "seconds") return time(value);
    if (unit === "m" || unit === "millicores") return `${Math.round(value)}m`;
    if (unit === "B" || unit === "bytes") {
      let [amount, step] = [value, 0];
      while (Math.abs(amount) >= 1024 && step < 5) { amount /= 1024; step += 1; }
      return `${digits(amount)}${["\u00a0B", "Ki", "Mi", "Gi", "Ti", "Pi"][step]}`;
    }
    return unit === "%" ? `${digits(value)}%` : `${digits(value)} ${unit}`.trim();
  };
  const tip = document.getElementById("tip");
  const nearest = (xs, x) => {
    let [low, high] = [0, xs.length - 1];
    while (high - low > 1) { const middle = (low + high) >> 1; if (xs[middle] <= x) low = middle; else high = middle; }
    return x - xs[low] <= xs[high] - x ? low : high;
  };
  const place = (event) => {
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = event.clientX + 16 + box.width > innerWidth ? event.clientX - 16 - box.width : event.clientX + 16;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - box.height - 8))}px`;
  };
  all("[data-plot]").forEach((plot) => {
    let curves = null;
    const cursor = plot.querySelector(".cursor");
    const hide = () => { tip.hidden = true; cursor.style.visibility = "hidden"; };
    plot.addEventListener("pointermove", (event) => {
      curves ??= JSON.parse(plot.dataset.plot);
      const box = plot.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      if (share < 0 || share > 1) { hide(); return; }
      const first = Math.min(...curves.map((curve) => curve.x[0]));
      const last = Math.max(...curves.map((curve) => curve.x[curve.x.length - 1]));
      const x = first + share * (last - first);
      const lines = curves.map((curve) => {
        const at = nearest(curve.x, x);
        const range = curve.low.length && curve.low[at] !== null && curve.low[at] !== curve.high[at] ? ` (${show(curve.low[at], curve.unit)} – ${show(curve.high[at], curve.unit)})` : "";
        return `${curve.name}: ${show(curve.y[at], curve.unit)}${range}`;
      });
      const at = curves[0].x[nearest(curves[0].x, x)];
      tip.textContent = [`at ${time(at)}`, ...lines].join("\n");
      const position = `${(last > first ? (at - first) / (last - first) : 0) * 100}%`;
      cursor.setAttribute("x1", position);
      cursor.setAttribute("x2", position);
      cursor.style.visibility = "visible";
      place(event);
    });
    plot.addEventListener("pointerleave", hide);
  });

  // Topology: what a node depends on and what depends on it.
  all("svg.topology").forEach((picture) => {
    const edges = all(".edge", picture);
    const boxes = all(".box", picture);
    const walk = (start, from, to) => {
      const seen = new Set([start]);
      const queue = [start];
      while (queue.length) {
        const key = queue.pop();
        edges.forEach((edge) => {
          if (edge.dataset[from] === key) {
            edge.classList.add("lit");
            if (!seen.has(edge.dataset[to])) { seen.add(edge.dataset[to]); queue.push(edge.dataset[to]); }
          }
        });
      }
      return seen;
    };
    const clear = () => { picture.classList.remove("focus"); [...edges, ...boxes].forEach((item) => item.classList.remove("lit")); };
    boxes.forEach((box) => {
      box.addEventListener("pointerenter", () => {
        clear();
        const lit = new Set([...walk(box.dataset.key, "from", "to"), ...walk(box.dataset.key, "to", "from")]);
        boxes.forEach((other) => other.classList.toggle("lit", lit.has(other.dataset.key)));
        picture.classList.add("focus");
      });
      box.addEventListener("pointerleave", clear);
    });
  });
})();
