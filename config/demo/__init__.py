"""/demo: a page to try everything, and the living example of a front end and of a service that sells something.

It has the two parts that a real product would have. The page (templates/demo, static/demo) calls the public API as
any front end does. Its shop needs the internal API, whose key must never reach a browser, so it has a small back end
(`back_end`) that calls the internal listener over HTTP and imports nothing of the apps. Only the development settings
route it.
"""
