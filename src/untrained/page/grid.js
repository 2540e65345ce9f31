// Tables: those that stand in the page are sorted in place; architectures are shown a page at a time.

// Numbers before what has none, whichever way they are sorted.
function compare(a, b, sign) {
  const missing = (v) => v === null || v === undefined || v !== v;
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  return sign * (a < b ? -1 : a > b ? 1 : 0);
}

function headButton(head, onSort) {
  const button = el("button", { type: "button", className: "sort" });
  button.append(...head.childNodes);
  head.append(button);
  head.setAttribute("aria-sort", "none");
  button.addEventListener("click", () => {
    const to = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of head.parentNode.children) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", to);
    onSort(to === "ascending" ? 1 : -1);
  });
}

function sortable(table) {
  const body = table.tBodies[0];
  [...table.tHead.rows[table.tHead.rows.length - 1].cells].forEach((head, column) => {
    headButton(head, (sign) => {
      const key = (row) => {
        const cell = row.cells[column];
        if (cell.dataset.sort === undefined) return cell.textContent.toLowerCase();
        return cell.dataset.sort === "" ? null : Number(cell.dataset.sort);
      };
      const rows = [...body.rows].map((row) => [key(row), row]).sort((a, b) => compare(a[0], b[0], sign));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

function shownNumber(value) {
  if (value === null || value === undefined || value !== value) return "–";
  const text = Math.abs(value) >= 1e4 && Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(6)));
  return text.replace("-", "−");
}

const ROWS = 25;

class Grid {
  constructor(host, data, onRow) {
    Object.assign(this, { data, onRow, page: 0, sort: null, rows: [] });
    this.head = el("tr");
    this.body = el("tbody");
    const wide = el("div", { className: "wide", tabIndex: 0 }, el("table", {}, el("thead", {}, this.head), this.body));
    wide.setAttribute("role", "region");
    wide.setAttribute("aria-label", "architectures");
    const turn = (text, by) => el("button", { type: "button", textContent: text, onclick: () => this.turn(by) });
    this.buttons = [turn("Previous", -1), turn("Next", 1)];
    this.where = el("span", { className: "where" });
    host.append(wide, el("div", { className: "pager" }, this.buttons[0], this.where, this.buttons[1]));
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("focusin", (event) => this.onRow(Number(event.target.closest("tr").dataset.arch)));
    this.body.addEventListener("click", (event) => event.target.closest("tr").focus());
  }

  // Which columns, by number, stand beside the architecture.
  columns(chosen) {
    if (this.chosen && this.chosen.join() === chosen.join()) return;
    this.chosen = chosen;
    this.head.replaceChildren();
    for (const k of [-1, ...chosen]) {
      const head = el("th", { scope: "col", textContent: k < 0 ? "architecture" : this.data.columns[k].name });
      if (k >= 0) head.className = "number";
      headButton(head, (sign) => {
        this.sort = [k, sign];
        this.page = 0;
        this.order();
      });
      if (this.sort && this.sort[0] === k) head.setAttribute("aria-sort", this.sort[1] > 0 ? "ascending" : "descending");
      this.head.append(head);
    }
    if (this.sort && this.sort[0] >= 0 && !chosen.includes(this.sort[0])) this.sort = null;
  }

  show(shown) {
    this.shown = shown;
    this.page = 0;
    this.order();
  }

  order() {
    this.rows = [...this.shown];
    if (this.sort) {
      const [k, sign] = this.sort, values = k < 0 ? this.data.archs : this.data.columns[k].values;
      this.rows.sort((a, b) => compare(values[a], values[b], sign) || a - b);
    }
    this.fill();
  }

  fill() {
    const start = this.page * ROWS, pages = Math.max(1, Math.ceil(this.rows.length / ROWS));
    this.body.replaceChildren(...this.rows.slice(start, start + ROWS).map((i, place) => {
      const row = el("tr", { tabIndex: place ? -1 : 0 }, el("td", { className: "arch", textContent: this.data.archs[i] }));
      row.dataset.arch = i;
      for (const k of this.chosen) {
        const { values, reasons, why } = this.data.columns[k];
        const cell = el("td", { className: "number", textContent: shownNumber(values[i]) });
        if (values[i] === null && why) cell.title = reasons[why[i]];
        row.append(cell);
      }
      return row;
    }));
    this.where.textContent = this.rows.length ? `page ${this.page + 1} of ${pages.toLocaleString("en")}` : "nothing to show";
    this.buttons[0].disabled = this.page === 0;
    this.buttons[1].disabled = this.page >= pages - 1;
  }

  turn(by) {
    this.page = Math.min(Math.max(this.page + by, 0), Math.max(0, Math.ceil(this.rows.length / ROWS) - 1));
    this.fill();
  }

  key(event) {
    const row = event.target.closest("tr"), rows = [...this.body.rows], at = rows.indexOf(row);
    const goto = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (event.key === "PageDown" || event.key === "PageUp") {
      this.turn(event.key === "PageDown" ? 1 : -1);
      if (this.body.rows[0]) this.body.rows[0].focus();
    } else if (goto !== undefined) {
      const next = rows[Math.min(Math.max(goto, 0), rows.length - 1)];
      rows.forEach((other) => (other.tabIndex = other === next ? 0 : -1));
      next.focus();
    } else return;
    event.preventDefault();
  }

  mark(i) {
    for (const row of this.body.rows) row.classList.toggle("chosen", Number(row.dataset.arch) === i);
  }

  csv() {
    const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const lines = [["architecture", ...this.data.columns.map((column) => column.name)]];
    for (const i of this.rows) {
      lines.push([this.data.archs[i], ...this.data.columns.map(({ values }) => (values[i] === null ? "" : String(values[i])))]);
    }
    return lines.map((line) => line.map(quoted).join(",") + "\n").join("");
  }
}
