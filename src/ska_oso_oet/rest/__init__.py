"""The HTTP API of the OET serves procedures, activities and server-sent events, and a web page.

It holds no state of procedures: every request is a call of OETController. `service.RestService` puts the
parts together; the device OETRestAdapter runs it.
"""
