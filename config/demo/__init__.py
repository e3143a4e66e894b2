"""/demo: a page to try everything, and the living example of a front end and of a service that sells something.

Two parts that a product of its own would have. The page (templates/demo, static/demo) calls the public API as any front
end does. Its shop needs the internal API, whose key no browser may hold: so it has a small server side (`back_end`),
which asks the internal listener over HTTP and imports nothing of the apps. Routed by development settings only.
"""
