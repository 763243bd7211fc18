// Search in the commands of this site, and a note if the site is out of date. Without this script, all pages can be
// read. It makes no requests except for the index, which is a script of this site, and shows text only as text.
"use strict";

(() => {
  const MAX_RESULTS = 100;
  const root = new URL("./", document.currentScript.src);

  /** Texts are compared without case and accents. */
  const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  /** Loads the index once. */
  let loading;
  const index = () => {
    loading ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL("search-index.js", root).href;
      script.onload = () => resolve(prepared(globalThis.kfSearchIndex));
      script.onerror = () => reject(new Error("search-index.js could not be loaded"));
      document.head.append(script);
    });
    return loading;
  };

  const prepared = ({ reaches, owners, rights, commands }) => {
    const foldedOwners = owners.map(folded);
    return {
      rights: rights.map(folded),
      commands: commands.map(([name, version, summary, owner, reach, held]) => ({
        name,
        version,
        summary,
        owner: owners[owner],
        reach: reaches[reach],
        held,
        text: folded(summary) + "\n" + foldedOwners[owner] + "\n" + folded(reaches[reach][0]),
      })),
    };
  };

  /** How well a command matches a word, 0 if it does not. */
  const score = (command, word, inRights) => {
    if (command.name === word) return 64;
    if (command.name.startsWith(word)) return 32;
    if (command.name.includes("-" + word)) return 16;
    if (command.name.includes(word)) return 8;
    const at = command.text.indexOf(word);
    if (at === 0 || (at > 0 && /[^\p{L}\p{N}]/u.test(command.text[at - 1]))) return 4;
    if (at > 0) return 2;
    return command.held.some((right) => inRights.has(right)) ? 1 : 0;
  };

  /** The commands that match every word, the best first. */
  const find = ({ rights, commands }, query) => {
    const words = folded(query).split(/\s+/).filter(Boolean);
    const terms = words.map((word) => {
      const inRights = new Set();
      rights.forEach((right, number) => right.includes(word) && inRights.add(number));
      return [word, inRights];
    });
    const found = [];
    for (const command of commands) {
      let total = 0;
      for (const [word, inRights] of terms) {
        const points = score(command, word, inRights);
        if (points === 0) {
          total = 0;
          break;
        }
        total += points;
      }
      if (total > 0) found.push([total, command]);
    }
    // The commands are sorted by name, and the sort is stable.
    return found.sort((a, b) => b[0] - a[0]).map(([, command]) => command);
  };

  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const item = ({ name, version, summary, owner, reach }) => {
    const link = element("a", "", name);
    link.href = new URL("commands/" + encodeURIComponent(name) + ".html", root).href;
    const heading = element("h2");
    heading.append(link);
    if (version) heading.append(" ", element("span", "version", version));
    heading.append(" ", element("span", "badge " + reach[1], reach[0]));
    const made = element("li");
    made.append(heading, element("p", "", summary), element("p", "by", owner));
    return made;
  };

  const form = document.getElementById("search");
  const input = document.getElementById("query");
  const results = document.getElementById("results");
  form.hidden = false;

  if (results) {
    const count = document.getElementById("count");
    const browse = document.getElementById("browse");

    const show = async () => {
      const query = input.value.trim();
      results.hidden = query === "";
      browse.hidden = query !== "";
      if (query === "") {
        results.replaceChildren();
        count.textContent = "";
        return;
      }
      let found;
      try {
        found = find(await index(), query);
      } catch (error) {
        count.textContent = "Search does not work: " + error.message;
        browse.hidden = false;
        return;
      }
      // The user may have typed on meanwhile.
      if (input.value.trim() !== query) return;
      results.replaceChildren(...found.slice(0, MAX_RESULTS).map(item));
      const commands = found.length === 1 ? "1 command matches" : found.length + " commands match";
      const first = found.length > MAX_RESULTS ? ", the first " + MAX_RESULTS + " are shown" : "";
      count.textContent = found.length === 0 ? "No command matches “" + query + "”" : commands + first;
    };

    /** Keeps the query in the address, so that going back shows the same results. */
    const remember = () => {
      const here = new URL(location.href);
      here.searchParams.delete("q");
      if (input.value.trim() !== "") here.searchParams.set("q", input.value.trim());
      try {
        history.replaceState(null, "", here);
      } catch {
        // A page from a disk has no history.
      }
    };

    input.addEventListener("focus", () => index().catch(() => {}), { once: true });
    input.addEventListener("input", () => {
      remember();
      show();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      show();
    });
    input.value = new URLSearchParams(location.search).get("q") ?? input.value;
    show();
  }

  const expires = Date.parse(document.documentElement.dataset.expires);
  if (expires < Date.now()) document.getElementById("expired").hidden = false;
})();
