"use strict";
// Copy buttons, forms that are sent once, and a search box that gives no secret to an address.
document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll(".pikku-copy")) {
        if (!navigator.clipboard) continue; // only where the page is served over https, or locally
        button.hidden = false;
        button.addEventListener("click", async () => {
            const secret = document.getElementById(button.dataset.copies).textContent;
            await navigator.clipboard.writeText(secret);
            button.textContent = button.dataset.done;
        });
    }
    for (const form of document.querySelectorAll("form.pikku-once")) {
        form.addEventListener("submit", (event) => {
            if (form.dataset.sent) {
                event.preventDefault();
                return;
            }
            form.dataset.sent = "yes";
            setTimeout(() => delete form.dataset.sent, 5000); // the answer may never come
        });
        // Coming back by the history, the page may be the very one that was sent.
        window.addEventListener("pageshow", () => delete form.dataset.sent);
    }
    const search = document.getElementById("changelist-search");
    const find = document.getElementById("pikku-find");
    if (search && find) {
        search.addEventListener("submit", (event) => {
            const text = search.elements.q.value;
            if (!/(^|[^0-9A-Za-z])[a-z][a-z0-9]{1,15}_[0-9A-Za-z]{49}(?![0-9A-Za-z])/.test(text)) return;
            event.preventDefault();
            find.elements.secret.value = text;
            find.submit();
        });
    }
});
