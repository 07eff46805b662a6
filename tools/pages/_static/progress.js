/* What the reader finished and answered is remembered by the browser, and goes nowhere else: by page, the ids of sections, and of each question
   the choices or the number. A browser that keeps nothing remembers until the page is left. */
(() => {
  "use strict";
  const COURSE = "words-to-answers", VERSION = 1;
  let memory = {}, kept = !localStorage.forgetful; // see _templates/layout.html

  const isObject = (one) => typeof one === "object" && one !== null && !Array.isArray(one);
  const areTexts = (one) => Array.isArray(one) && one.every((text) => typeof text === "string");

  // The pages in the text of a file; null where it is none of ours.
  function pagesIn(text) {
    let data;
    try { data = JSON.parse(text); } catch { return null; }
    if (!isObject(data) || data.course !== COURSE || data.version !== VERSION || !isObject(data.pages)) return null;
    const fits = ([name, page]) => /^\d?[a-z\d]\w*$/.test(name) && isObject(page) && areTexts(page.sections) && isObject(page.answers)
      && Object.values(page.answers).every(areTexts);
    return Object.entries(data.pages).every(fits) ? data.pages : null;
  }

  const asText = (pages) => JSON.stringify({ course: COURSE, version: VERSION, pages }, null, 1);

  function read() {
    if (kept) memory = pagesIn(localStorage.getItem(COURSE)) ?? {};
    return memory;
  }

  function write(pages) {
    memory = pages;
    if (kept) try { localStorage.setItem(COURSE, asText(pages)); } catch { kept = false; } // it is full
  }

  const pageOf = (pages, name) => (Object.hasOwn(pages, name) ? pages[name] : { sections: [], answers: {} });
  const name = location.pathname.split("/").pop().replace(/\.html$/, "");

  // Read again before each change: another tab may have written in between.
  function change(alter) {
    const pages = read(), page = pageOf(pages, name);
    alter(page);
    write({ ...pages, [name]: page });
  }

  // --- a lesson

  const toggled = (list, one, on) => [...list.filter((other) => other !== one), ...(on ? [one] : [])];

  function markSections(where) {
    const sections = [...document.querySelectorAll(".bd-article > section > section")], line = document.createElement("p");
    line.className = "progress-line";
    where.after(line);
    const again = document.createElement("button");
    again.type = "button";
    again.textContent = "Answer the quizzes again";
    again.hidden = !Object.keys(pageOf(read(), name).answers).length;
    again.addEventListener("click", () => {
      change((page) => { page.answers = {}; });
      location.reload();
    });
    function tell() {
      const done = new Set(pageOf(read(), name).sections);
      for (const link of document.querySelectorAll(".bd-sidebar-secondary a[href^='#']"))
        link.classList.toggle("finished", done.has(decodeURIComponent(link.hash.slice(1))));
      line.replaceChildren(`Finished: ${sections.filter((section) => done.has(section.id)).length} of ${sections.length} sections. `);
      const link = document.createElement("a");
      link.href = "progress.html";
      link.textContent = "Your progress";
      line.append(link, " ", again);
    }
    for (const section of sections) {
      const label = document.createElement("label"), box = document.createElement("input");
      box.type = "checkbox";
      box.checked = pageOf(read(), name).sections.includes(section.id);
      box.addEventListener("change", () => {
        change((page) => { page.sections = toggled(page.sections, section.id, box.checked); });
        tell();
      });
      label.className = "finish";
      label.append(box, ` I have finished “${section.querySelector("h2").firstChild.textContent.trim()}”`);
      section.append(label);
    }
    tell();
  }

  // Questions have no ids on a page: their own text names them, and choices too.
  const textOf = (element) => element.textContent.replace(/\s+/g, " ").trim();
  const questionOf = (box) => textOf(box.querySelector("p")).replace(/^\d+\. /, "");

  function answerTo(box) {
    const choices = [...box.querySelectorAll("details")];
    if (box.dataset.kind === "numeric") return box.querySelector("output").textContent ? [box.querySelector("input").value.trim()] : [];
    const chosen = box.dataset.kind === "single" ? "[open]" : box.querySelector("button").hidden ? ".picked" : ":not(*)";
    return choices.filter((one) => one.matches(chosen)).map((one) => textOf(one.querySelector("summary")));
  }

  function giveAgain(box, answer) {
    const numeric = box.dataset.kind === "numeric", summaries = [...box.querySelectorAll("summary")];
    const given = numeric ? answer : summaries.filter((one) => answer.includes(textOf(one)));
    if (!given.length) return; // the question has changed
    if (numeric) box.querySelector("input").value = answer[0];
    else given.forEach((one) => { if (box.dataset.kind === "single") one.parentElement.open = true; else one.click(); });
    box.querySelector("button")?.click(); // Check
  }

  function rememberAnswers() {
    const boxes = [...document.querySelectorAll(".wta-quiz .q")], { answers } = pageOf(read(), name);
    for (const box of boxes) {
      const question = questionOf(box);
      if (Object.hasOwn(answers, question)) giveAgain(box, answers[question]);
      const later = () => setTimeout(() => change((page) => { // when the quiz has done its own
        const { [question]: before, ...others } = page.answers, answer = answerTo(box);
        page.answers = answer.length ? { ...others, [question]: answer } : others;
      }));
      box.addEventListener("click", later, true);
      box.addEventListener("keydown", (event) => { if (event.key === "Enter") later(); }, true);
    }
  }

  // --- the page about it

  const merged = (one, other) => ({ sections: [...new Set([...one.sections, ...other.sections])], answers: { ...other.answers, ...one.answers } });

  function showAll(place) {
    const said = document.createElement("p"), buttons = document.createElement("p"), file = document.createElement("input");
    said.setAttribute("role", "status");
    file.type = "file";
    file.accept = ".json";
    file.hidden = true;
    buttons.append(file);
    place.replaceChildren(buttons, said);
    const button = (words, action) => {
      const one = document.createElement("button");
      one.type = "button";
      one.textContent = words;
      one.addEventListener("click", () => action(one));
      buttons.append(one, " ");
    };
    function tell(words = "") {
      const pages = read();
      for (const cell of document.querySelectorAll("[data-of]")) {
        const { [cell.dataset.what]: found } = pageOf(pages, cell.dataset.page);
        const count = areTexts(found) ? found.length : Object.keys(found).length;
        cell.textContent = `${Math.min(count, cell.dataset.of)} of ${cell.dataset.of}`;
      }
      const lost = "This browser lets the page keep nothing: allow it to store data, or what you do is forgotten when you leave a page.";
      const apart = "Opened as files, the pages may each remember on their own: serve them (make site-serve) to have all of it here.";
      said.textContent = words || (kept ? "" : lost) || (location.protocol === "file:" ? apart : "");
    }
    button("Save to a file", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([asText(read())], { type: "application/json" }));
      link.download = `${COURSE}-progress.json`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    button("Load from a file", () => file.click());
    button("Erase", (one) => {
      if (one.textContent === "Erase") {
        one.textContent = "Erase all of it?";
        setTimeout(() => { one.textContent = "Erase"; }, 5000);
        return;
      }
      one.textContent = "Erase";
      memory = {};
      localStorage.removeItem(COURSE);
      tell("Everything is forgotten.");
    });
    file.addEventListener("change", async () => {
      const [chosen] = file.files, found = chosen.size < 2e6 ? pagesIn(await chosen.text()) : null;
      file.value = "";
      if (!found) return tell(`${chosen.name} is no file that this page saved, or it is damaged: choose another. Nothing was changed.`);
      const pages = { ...read() };
      for (const [name, page] of Object.entries(found)) pages[name] = merged(pageOf(pages, name), page);
      write(pages);
      tell(`What is in ${chosen.name} was added.`);
    });
    tell();
  }

  const ways = document.querySelector("ul.ways"), place = document.getElementById("your-own");
  if (ways) { rememberAnswers(); markSections(document.querySelector(".ways-note") ?? ways); }
  if (place) showAll(place);
})();
