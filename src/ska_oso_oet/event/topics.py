# ruff: noqa: N801, N802, ANN001 - the names and signatures are the topics themselves
"""The topic tree describes which events there are, and what data each carries.

A nested class is a topic; `msgDataSpec` names its data, as pypubsub reads it
(`pub.addTopicDefnProvider(topics, pub.TOPIC_TREE_FROM_CLASS)`). Parameters with a default are optional.

One module holds the whole tree, long as it is: it is a table, and pypubsub reads it as one.
"""

from __future__ import annotations


class activity:
    """Root topic of events about activities."""

    class lifecycle:
        """Changes of an activity's state."""

        class running:
            """An activity has started to run."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, result) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - result: ActivitySummary of the activity
                """

        class statechange:
            """An activity has entered another state."""

            @staticmethod
            def msgDataSpec(msg_src, new_state, result) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - new_state: the state entered
                - result: ActivitySummary of the activity
                """

    class pool:
        """What activities there are."""

        class list:
            """Activities were listed."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, result) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - result: list of ActivitySummary
                """


class procedure:
    """Root topic of events about procedures."""

    class lifecycle:
        """Changes of a procedure's state."""

        class complete:
            """A procedure's main function has returned, and its process is gone."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, result) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - result: ProcedureSummary of the procedure
                """

        class created:
            """A script was loaded into its process."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, result) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - result: ProcedureSummary of the procedure
                """

        class failed:
            """A procedure has failed, and its process is gone."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, result) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - result: ProcedureSummary of the procedure
                """

        class ready:
            """A script's init function has returned; its main function can be called."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, result) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - result: ProcedureSummary of the procedure
                """

        class stacktrace:
            """Why a procedure failed."""

            @staticmethod
            def msgDataSpec(msg_src, stacktrace) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - stacktrace: the script's own traceback, as text
                """

        class started:
            """A function of a script is being called: init or main."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, result) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - result: ProcedureSummary of the procedure
                """

        class statechange:
            """A procedure has entered another state."""

            @staticmethod
            def msgDataSpec(msg_src, new_state) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - new_state: the state entered
                """

        class stopped:
            """A procedure was stopped, and its process is gone."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, result) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - result: ProcedureSummary of the procedure
                """

    class output:
        """A procedure, or a program that it started, has written lines."""

        @staticmethod
        def msgDataSpec(msg_src, procedure_id, lines) -> None:  # type: ignore[no-untyped-def]
            """Carry these data.

            - msg_src: who the event comes from
            - procedure_id: the procedure
            - lines: list of lines, as GetOutput returns them
            """

    class pool:
        """What procedures there are."""

        class list:
            """Procedures were listed."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, result) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - result: list of ProcedureSummary
                """

    class progress:
        """A script reports how far it is."""

        @staticmethod
        def msgDataSpec(  # type: ignore[no-untyped-def]
            msg_src, progress, message="", devices=None, failed_devices=None, health_state=None
        ) -> None:
            """Carry these data.

            - msg_src: who the event comes from
            - progress: 0 to 100
            - message: a few words (optional)
            - devices: names of the devices that the script works with (optional)
            - failed_devices: names of those that have failed (optional)
            - health_state: OK, DEGRADED or FAILED, of these devices (optional)
            """


class request:
    """Root topic of requests by users and other systems."""

    class activity:
        """Requests about activities."""

        class list:
            """Activities are to be listed."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, activity_ids=None) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - activity_ids: ids to list (optional; all when left out)
                """

        class run:
            """An activity is to be run."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, cmd) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - cmd: the RunActivity request
                """

    class procedure:
        """Requests about procedures."""

        class create:
            """A procedure is to be created."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, cmd) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - cmd: the CreateProcedure request
                """

        class list:
            """Procedures are to be listed."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, pids=None) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - pids: ids to list (optional; all when left out)
                """

        class start:
            """A procedure is to be started."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, cmd) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - cmd: the StartProcedure request
                """

        class stop:
            """A procedure is to be stopped."""

            @staticmethod
            def msgDataSpec(msg_src, request_id, cmd) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - request_id: identifier of the request that caused it, or null
                - cmd: the StopProcedure request
                """


class sb:
    """Root topic of events about Scheduling Blocks."""

    class lifecycle:
        """What happens to a Scheduling Block."""

        class allocated:
            """Resources were allocated for a Scheduling Block."""

            @staticmethod
            def msgDataSpec(msg_src, sb_id) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - sb_id: Scheduling Block id
                """

        class observation:
            """Observing a Scheduling Block."""

            class finished:
                """An observation has ended."""

                class failed:
                    """An observation has failed."""

                    @staticmethod
                    def msgDataSpec(msg_src, sb_id) -> None:  # type: ignore[no-untyped-def]
                        """Carry these data.

                        - msg_src: who the event comes from
                        - sb_id: Scheduling Block id
                        """

                class succeeded:
                    """An observation has ended well."""

                    @staticmethod
                    def msgDataSpec(msg_src, sb_id) -> None:  # type: ignore[no-untyped-def]
                        """Carry these data.

                        - msg_src: who the event comes from
                        - sb_id: Scheduling Block id
                        """

            class started:
                """An observation has begun."""

                @staticmethod
                def msgDataSpec(msg_src, sb_id) -> None:  # type: ignore[no-untyped-def]
                    """Carry these data.

                    - msg_src: who the event comes from
                    - sb_id: Scheduling Block id
                    """


class scan:
    """Root topic of events about scans of a Scheduling Block."""

    class lifecycle:
        """What happens to a scan."""

        class configure:
            """Configuring a subarray for a scan."""

            class complete:
                """The configuration is complete."""

                @staticmethod
                def msgDataSpec(msg_src, sb_id, scan_id) -> None:  # type: ignore[no-untyped-def]
                    """Carry these data.

                    - msg_src: who the event comes from
                    - sb_id: Scheduling Block id
                    - scan_id: scan id
                    """

            class failed:
                """The configuration has failed."""

                @staticmethod
                def msgDataSpec(msg_src, sb_id, scan_id) -> None:  # type: ignore[no-untyped-def]
                    """Carry these data.

                    - msg_src: who the event comes from
                    - sb_id: Scheduling Block id
                    - scan_id: scan id
                    """

            class started:
                """The configuration begins."""

                @staticmethod
                def msgDataSpec(msg_src, sb_id, scan_id) -> None:  # type: ignore[no-untyped-def]
                    """Carry these data.

                    - msg_src: who the event comes from
                    - sb_id: Scheduling Block id
                    - scan_id: scan id
                    """

        class end:
            """The end of a scan."""

            class failed:
                """A scan has failed."""

                @staticmethod
                def msgDataSpec(msg_src, sb_id, scan_id) -> None:  # type: ignore[no-untyped-def]
                    """Carry these data.

                    - msg_src: who the event comes from
                    - sb_id: Scheduling Block id
                    - scan_id: scan id
                    """

            class succeeded:
                """A scan has ended well."""

                @staticmethod
                def msgDataSpec(msg_src, sb_id, scan_id) -> None:  # type: ignore[no-untyped-def]
                    """Carry these data.

                    - msg_src: who the event comes from
                    - sb_id: Scheduling Block id
                    - scan_id: scan id
                    """

        class start:
            """A scan begins."""

            @staticmethod
            def msgDataSpec(msg_src, sb_id, scan_id=None) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - sb_id: Scheduling Block id
                - scan_id: scan id (optional)
                """


class subarray:
    """Root topic of events about a subarray."""

    class configured:
        """A subarray was configured."""

        @staticmethod
        def msgDataSpec(msg_src, subarray_id) -> None:  # type: ignore[no-untyped-def]
            """Carry these data.

            - msg_src: who the event comes from
            - subarray_id: subarray id
            """

    class fault:
        """A subarray cannot be reached."""

        @staticmethod
        def msgDataSpec(msg_src, subarray_id, error) -> None:  # type: ignore[no-untyped-def]
            """Carry these data.

            - msg_src: who the event comes from
            - subarray_id: subarray id
            - error: what the subarray reported
            """

    class resources:
        """The resources of a subarray."""

        class allocated:
            """Resources were allocated to a subarray."""

            @staticmethod
            def msgDataSpec(msg_src, subarray_id) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - subarray_id: subarray id
                """

        class deallocated:
            """Resources were released from a subarray."""

            @staticmethod
            def msgDataSpec(msg_src, subarray_id) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - subarray_id: subarray id
                """

    class scan:
        """Scans of a subarray."""

        class finished:
            """A scan has ended."""

            @staticmethod
            def msgDataSpec(msg_src, subarray_id) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - subarray_id: subarray id
                """

        class started:
            """A scan has begun."""

            @staticmethod
            def msgDataSpec(msg_src, subarray_id) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - subarray_id: subarray id
                """


class user:
    """Root topic of events that users' scripts make."""

    class script:
        """Events of a script."""

        class announce:
            """A script publishes a message for its users."""

            @staticmethod
            def msgDataSpec(msg_src, msg) -> None:  # type: ignore[no-untyped-def]
                """Carry these data.

                - msg_src: who the event comes from
                - msg: the words
                """
