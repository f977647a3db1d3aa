// The question about a photo: chosen, dropped, pasted, or by its address.

import { $, h, number, percent, told } from "./dom.js";

let asked = 0;

async function ask(body, type, source) {
  const turn = ++asked;
  const answer = $("answer");
  $("ask").setAttribute("aria-busy", "true");
  $("ask-error").hidden = true;
  show(source);
  answer.hidden = false;
  answer.classList.add("busy");
  $("best").textContent = "Asking…";
  $("top").replaceChildren();
  $("times").textContent = "";
  let result;
  try {
    const response = await fetch("/api/predict", { method: "POST", body, headers: { "Content-Type": type } });
    result = response.headers.get("content-type")?.startsWith("application/json")
      ? await response.json()
      : { error: { rule: "The page's server refused.", received: await response.text() } };
  } catch {
    result = { error: { rule: "The page's server does not answer.", remedy: "Start ./inv console again." } };
  }
  if (turn !== asked) return; // a later question is on its way
  $("ask").removeAttribute("aria-busy");
  answer.classList.remove("busy");
  if (result.error) {
    answer.hidden = true;
    $("best").textContent = "";
    $("ask-error").replaceChildren(...told(result.error).filter(Boolean));
    $("ask-error").hidden = false;
  } else {
    render(result.data);
  }
}

function render({ answer, milliseconds, variant, cold_start: cold }) {
  $("best").replaceChildren(h("strong", {}, answer.name.replaceAll("_", " ")), ` ${percent(answer.probability)}`);
  $("top").replaceChildren(...answer.top.map((each, index) => {
    const bar = h("span", { class: "bar", "aria-hidden": "true" }, h("span", {}));
    bar.firstChild.style.width = `${Math.max(0.6, 100 * each.probability)}%`;
    return h("li", { class: index === 0 ? "first" : null },
      h("span", { class: "name" }, each.name.replaceAll("_", " ")), h("span", { class: "share" }, percent(each.probability)), bar);
  }));
  const parts = [`${number(milliseconds.round_trip, 0)} ms there and back`];
  if (milliseconds.total !== undefined) parts.push(`${number(milliseconds.total)} ms in the function`);
  if (milliseconds.endpoint !== undefined) parts.push(`${number(milliseconds.endpoint)} ms at the endpoint`);
  if (milliseconds.fetch !== undefined) parts.push(`${number(milliseconds.fetch)} ms fetching`);
  if (variant) parts.push(`variant ${variant}`);
  if (cold) parts.push("cold start");
  $("times").textContent = parts.join(" · ");
  document.dispatchEvent(new CustomEvent("asked"));
}

function show(source) {
  const preview = $("preview");
  if (preview.src.startsWith("blob:")) URL.revokeObjectURL(preview.src);
  // A photo of another site is not loaded here: the function fetches it, this page talks to nobody else.
  preview.parentElement.hidden = !(source instanceof Blob);
  if (source instanceof Blob) preview.src = URL.createObjectURL(source);
  else preview.removeAttribute("src");
}

const file = (blob) => ask(blob, blob.type || "application/octet-stream", blob);
const address = (url) => ask(JSON.stringify({ url }), "application/json", url);

export function start() {
  const drop = $("drop");
  $("photo").addEventListener("change", (event) => {
    if (event.target.files[0]) file(event.target.files[0]);
    event.target.value = ""; // the same photo again is a question again
  });
  $("ask-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const url = $("url").value.trim();
    if (url) address(url);
    else $("url").focus();
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => event.relatedTarget || drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault(); // a miss would open the photo instead of the page
    drop.classList.remove("over");
    const { files } = event.dataTransfer;
    const url = event.dataTransfer.getData("text/uri-list").split("\n")[0];
    if (files[0]) file(files[0]);
    else if (url) address(url);
  });
  document.addEventListener("paste", (event) => {
    const photo = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
    const text = event.clipboardData.getData("text").trim();
    if (photo) file(photo);
    else if (/^https?:\/\/\S+$/.test(text) && event.target.tagName !== "INPUT") {
      $("url").value = text;
      address(text);
    }
  });
}
